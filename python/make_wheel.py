"""Makes the wheel: make_wheel.py LIBRARY FOLDER. Its tag names the glibc that the library needs, as its symbols say."""

import base64
import hashlib
import os
import re
import stat
import struct
import sys
import zipfile

FOLDER = os.path.dirname(os.path.abspath(__file__))
PACKAGE = "kvcached_client"
# Zip files can't be older; the same input gives the same wheel.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def read_version():
    with open(os.path.join(FOLDER, PACKAGE, "_version.py")) as source:
        return re.search(r'__version__ = "([^"]+)"', source.read()).group(1)


def needed_glibc(library):
    """The newest glibc whose symbols an ELF file refers to, such as (2, 34): from the version names in its dynamic string table."""
    with open(library, "rb") as file:
        content = file.read()
    if content[:4] != b"\x7fELF" or struct.unpack_from("<H", content, 18)[0] != 62:
        raise SystemExit("{0} is no library for x86-64.".format(library))
    versions = {tuple(map(int, found.split(b"."))) for found in re.findall(rb"\0GLIBC_(\d+\.\d+)(?=[.\0])", content)}
    if not versions:
        raise SystemExit("{0} names no glibc version; is it linked against another C library?".format(library))
    return max(versions)


def metadata(version):
    with open(os.path.join(FOLDER, "README.md")) as readme:
        description = readme.read()
    return (
        "Metadata-Version: 2.1\nName: kvcached-client\nVersion: {0}\n"
        "Summary: Elastic KV-cache memory for LLM engines: the engine's side of Kvcached\nLicense: Apache-2.0\n"
        "Requires-Python: >=3.9\nClassifier: Operating System :: POSIX :: Linux\nClassifier: Typing :: Typed\n"
        "Description-Content-Type: text/markdown\n\n{1}"
    ).format(version, description)


def entry_points():
    """The plugins of engines, as pyproject.toml names them."""
    with open(os.path.join(FOLDER, "pyproject.toml")) as file:
        found = re.findall(r'^\[project\.entry-points\."([^"]+)"\]\n((?:.+\n)+)', file.read(), re.MULTILINE)
    return "\n".join("[{0}]\n{1}".format(group, lines.replace('"', "")) for group, lines in found)


def package_files():
    """Paths of the package's files, with those of the packages in it."""
    found = []
    for folder, _folders, names in os.walk(os.path.join(FOLDER, PACKAGE)):
        inside = os.path.relpath(folder, FOLDER)
        found.extend("{0}/{1}".format(inside, name) for name in names if name.endswith((".py", ".json")) or name == "py.typed")
    return sorted(found)


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    library, target = sys.argv[1:]
    version = read_version()
    tag = "py3-none-manylinux_{0}_{1}_x86_64".format(*needed_glibc(library))
    info = "kvcached_client-{0}.dist-info".format(version)
    files = []
    for name in package_files():
        with open(os.path.join(FOLDER, name), "rb") as source:
            files.append((name, source.read()))
    # Python runs this at each start: it imports the package only where the variable is set.
    with open(os.path.join(FOLDER, "kvcached_client_compat.pth"), "rb") as source:
        files.append(("kvcached_client_compat.pth", source.read()))
    with open(library, "rb") as source:
        files.append((PACKAGE + "/libkvcached.so", source.read()))
    with open(os.path.join(os.path.dirname(FOLDER), "LICENSE"), "rb") as source:
        files.append((info + "/LICENSE", source.read()))
    files.append((info + "/METADATA", metadata(version).encode("utf-8")))
    files.append((info + "/entry_points.txt", entry_points().encode("utf-8")))
    files.append((info + "/WHEEL", "Wheel-Version: 1.0\nGenerator: make_wheel\nRoot-Is-Purelib: false\nTag: {0}\n".format(tag).encode()))
    record = []
    for name, content in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record.append("{0},sha256={1},{2}".format(name, digest, len(content)))
    record.append("{0}/RECORD,,".format(info))
    files.append((info + "/RECORD", ("\n".join(record) + "\n").encode()))

    path = os.path.join(target, "kvcached_client-{0}-{1}.whl".format(version, tag))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in files:
            entry = zipfile.ZipInfo(name, TIMESTAMP)
            mode = 0o755 if name.endswith(".so") else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, content)
    print("{0} KiB: {1}".format(os.path.getsize(path) // 1024, path))


if __name__ == "__main__":
    main()
