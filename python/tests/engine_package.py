"""Writes a package with the functions and attributes that are recorded of an engine, for tests of start-up: it does nothing."""

import os

from kvcached_client.integrations.recorded import recorded


def write_package(folder, engine, release, version, change=lambda place, parameters: parameters):
    """A package and its metadata in ``folder``.

    :param change: Gives the parameters of the function at a place; None leaves it out.
    """
    files = {}
    said = recorded(engine)[release]
    for place, parameters in said["functions"].items():
        path, _, name = place.partition(":")
        owner, _, function = name.rpartition(".")
        changed = change(place, parameters)
        if changed is not None:
            files.setdefault(path, {}).setdefault(owner, []).append("def {0}({1}): pass".format(function, ", ".join(changed)))
    for place, names in said["attributes"].items():
        path, _, owner = place.partition(":")
        files.setdefault(path, {}).setdefault(owner, []).extend("{0} = None".format(name) for name in names)
    for path, owners in files.items():
        place = os.path.join(folder, engine, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w") as file:
            for owner, lines in owners.items():
                file.write("class {0}:\n".format(owner) if owner else "")
                file.writelines(("    " if owner else "") + line + "\n" for line in lines)
    with open(os.path.join(folder, engine, "__init__.py"), "w") as file:
        file.write("")
    info = os.path.join(folder, "{0}-{1}.dist-info".format(engine, version))
    os.makedirs(info)
    with open(os.path.join(info, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\nName: {0}\nVersion: {1}\n".format(engine, version))
