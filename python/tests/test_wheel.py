import base64
import hashlib
import os
import subprocess
import sys
import tempfile
import unittest
import zipfile

from tests.support import LIBRARY, PYTHON_FOLDER, LibraryTestCase


class WheelTests(LibraryTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.TemporaryDirectory()
        cls.make(LIBRARY, cls.folder.name)
        (name,) = os.listdir(cls.folder.name)
        cls.wheel = os.path.join(cls.folder.name, name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @staticmethod
    def make(library, folder):
        maker = os.path.join(PYTHON_FOLDER, "make_wheel.py")
        return subprocess.run([sys.executable, "-B", maker, library, folder], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def test_runs_from_where_it_is_unpacked_without_anything_else(self):
        with tempfile.TemporaryDirectory() as site:
            with zipfile.ZipFile(self.wheel) as wheel:
                wheel.extractall(site)
            variables = {name: value for name, value in os.environ.items() if name not in ("KVCACHED_LIBRARY", "PYTHONPATH")}
            variables["PATH"] = ""  # no compiler, no .NET
            code = "import kvcached_client as k; print(k.version(), k.library_path())"
            done = subprocess.run(
                [sys.executable, "-B", "-c", code], cwd=site, env=dict(variables, PYTHONPATH=site), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            self.assertEqual("0.1.0 {0}/kvcached_client/libkvcached.so\n".format(site), done.stdout.decode())

    def test_engines_find_the_plugins_and_what_is_recorded_of_them(self):
        with tempfile.TemporaryDirectory() as site:
            with zipfile.ZipFile(self.wheel) as wheel:
                wheel.extractall(site)
            code = (
                "from importlib.metadata import distributions\n"
                "points = [p for d in distributions(path=[{0!r}]) for p in d.entry_points]\n"
                "for p in sorted(points): print(p.group, p.load().__module__, len(__import__('kvcached_client.integrations.recorded', fromlist=['']).recorded(p.value.split('.')[2].split(':')[0])))"
            ).format(site)
            variables = dict(os.environ, PYTHONPATH=site)
            done = subprocess.run([sys.executable, "-B", "-c", code], cwd=site, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            expected = "sglang.srt.plugins kvcached_client.integrations.sglang 2\nvllm.general_plugins kvcached_client.integrations.vllm 2\n"
            self.assertEqual(expected, done.stdout.decode())

    def test_record_is_right(self):
        with zipfile.ZipFile(self.wheel) as wheel:
            names = set(wheel.namelist())
            (record,) = [name for name in names if name.endswith("/RECORD")]
            for line in wheel.read(record).decode().splitlines():
                name, digest, size = line.rsplit(",", 2)
                names.remove(name)
                if name != record:
                    content = wheel.read(name)
                    found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                    self.assertEqual(("sha256=" + found, str(len(content))), (digest, size))
        self.assertEqual(set(), names)

    def test_tag_names_the_glibc_that_is_needed(self):
        self.assertRegex(os.path.basename(self.wheel), r"^kvcached_client-0\.1\.0-py3-none-manylinux_2_\d+_x86_64\.whl$")
        minor = int(os.path.basename(self.wheel).split("manylinux_2_")[1].split("_")[0])
        with zipfile.ZipFile(self.wheel) as wheel:
            content = wheel.read("kvcached_client/libkvcached.so")
            self.assertIn("Tag: py3-none-manylinux_2_{0}_x86_64".format(minor), wheel.read("kvcached_client-0.1.0.dist-info/WHEEL").decode())
        self.assertIn("GLIBC_2.{0}\0".format(minor).encode(), content)
        self.assertNotIn("GLIBC_2.{0}\0".format(minor + 1).encode(), content)

    def test_same_input_gives_the_same_wheel(self):
        with tempfile.TemporaryDirectory() as again:
            self.make(LIBRARY, again)
            with open(self.wheel, "rb") as first, open(os.path.join(again, os.path.basename(self.wheel)), "rb") as second:
                self.assertEqual(first.read(), second.read())

    def test_what_is_no_library_is_refused(self):
        with tempfile.TemporaryDirectory() as folder, self.assertRaises(subprocess.CalledProcessError):
            self.make(os.path.abspath(__file__), folder)


if __name__ == "__main__":
    unittest.main()
