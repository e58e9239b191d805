import os
import unittest

from tests.support import LIBRARY, LibraryTestCase, run_python

CHECK_PURE = """
import os, sys
import kvcached_client
assert "numpy" not in sys.modules and "torch" not in sys.modules, "an array library was imported"
maps = open("/proc/self/maps").read()
assert "libkvcached" not in maps and "libcuda" not in maps, "a native library was loaded"
assert len(os.listdir("/proc/self/task")) == 1, "a thread was started"
"""


class ImportTests(LibraryTestCase):
    def test_import_loads_nothing_and_starts_nothing(self):
        self.assertEqual((0, ""), run_python(CHECK_PURE))

    def test_importing_names_does_so_too(self):
        code = "from kvcached_client import *\n" + CHECK_PURE + "multi_head('g', layers=1, kv_heads=1, head_elements=8, virtual_bytes=1 << 30)\n" + CHECK_PURE
        self.assertEqual((0, ""), run_python(code))

    def test_everything_promised_is_there(self):
        import kvcached_client

        for name in kvcached_client.__all__:
            self.assertTrue(hasattr(kvcached_client, name), name)

    def test_version_of_package_and_library_agree(self):
        import kvcached_client

        self.assertEqual(kvcached_client.__version__, kvcached_client.version())


class LookupTests(unittest.TestCase):
    def test_missing_library_says_what_to_run(self):
        code = (
            "import kvcached_client\n"
            "try:\n    kvcached_client.version()\n"
            "except ImportError as problem:\n    assert isinstance(problem, kvcached_client.LibraryNotFoundError); print(problem)\n"
        )
        elsewhere = "import os; os.environ['KVCACHED_LIBRARY'] = '/nonexistent.so'\n"
        exit_code, output = run_python(elsewhere + code)
        self.assertEqual(0, exit_code, output)
        self.assertIn("/nonexistent.so", output)
        self.assertIn("build-native.sh", output)

        inside = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "kvcached_client", "libkvcached.so")
        if not os.path.exists(inside):
            exit_code, output = run_python("import os; del os.environ['KVCACHED_LIBRARY']\n" + code)
            self.assertEqual(0, exit_code, output)
            self.assertIn("build-wheel.sh", output)

    def test_file_that_is_no_library_says_so(self):
        code = (
            "import os; os.environ['KVCACHED_LIBRARY'] = {0!r}\nimport kvcached_client\n"
            "try:\n    kvcached_client.version()\nexcept kvcached_client.LibraryNotFoundError as problem:\n    print(problem)\n"
        )
        exit_code, output = run_python(code.format(os.path.abspath(__file__)))
        self.assertEqual(0, exit_code, output)
        self.assertIn("can't be used", output)

    def test_library_path_is_what_is_named(self):
        exit_code, output = run_python("import kvcached_client; print(kvcached_client.library_path())")
        self.assertEqual((0, LIBRARY + "\n"), (exit_code, output))


if __name__ == "__main__":
    unittest.main()
