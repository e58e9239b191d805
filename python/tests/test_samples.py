import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

from tests.host import HostTestCase, TestHost
from tests.support import LIBRARY, PYTHON_FOLDER, ROOT, find_compiler


class SampleTests(HostTestCase):
    """The sample engine and the measurement, as a user runs them."""

    def run_program(self, path, *arguments):
        variables = dict(os.environ, PYTHONPATH=PYTHON_FOLDER, KVCACHED_LIBRARY=LIBRARY, PYTHONDONTWRITEBYTECODE="1")
        done = subprocess.run(
            [sys.executable, os.path.join(ROOT, *path), *arguments], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300
        )
        self.assertEqual(0, done.returncode, done.stdout.decode())
        return done.stdout.decode()

    @unittest.skipUnless(importlib.util.find_spec("numpy"), "needs NumPy")
    def test_two_ranks_compute_what_ordinary_arrays_do(self):
        output = self.run_program(("samples", "python", "run_host.py"), "--sockets", *self.host.sockets, "--steps", "12")
        self.assertRegex(output, r"[1-9]\d* blocks compared with ordinary tensors on 2 ranks: all equal")

    @unittest.skipUnless(importlib.util.find_spec("numpy"), "needs NumPy")
    def test_a_small_limit_is_lived_with(self):
        output = self.run_program(
            ("samples", "python", "run_host.py"), "--sockets", *self.host.sockets, "--steps", "25", "--limit-mib", "16", "--pool", "small"
        )
        self.assertIn("all equal", output)

    def test_memory_that_moves_between_engines_reads_as_zeroes(self):
        if isinstance(self.host, TestHost):
            self.skipTest("the test host takes nothing from one pool for another; the real ones do (tests.real)")
        output = self.run_program(("samples", "python", "handover.py"), "--socket", self.host.sockets[0], "--virtual-gib", "4")
        self.assertIn("all that moved between the engines read as zeroes", output)

    def test_the_measurement_measures(self):
        output = self.run_program(("python", "bench", "alloc_free.py"), "--socket", self.host.sockets[0], "--repeats", "200", "--pages", "8")
        self.assertRegex(output, r"kvc_blocks_alloc \+ kvc_blocks_free of 16 +\d+ +\d+")

    @unittest.skipUnless(find_compiler(), "needs a C compiler")
    def test_cells_in_c_follow_the_highest_in_use_and_come_as_zeroes(self):
        source, native = os.path.join(ROOT, "samples", "c"), os.path.dirname(LIBRARY)
        files = [os.path.join(source, name) for name in ("main.c", "kv_cells.c")]
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "kv_cells")
            options = ["-std=c11", "-D_DEFAULT_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-I", native, "-L", native, "-Wl,-rpath," + native]
            subprocess.run([find_compiler(), *options, "-o", program, *files, "-lkvcached"], check=True)
            done = subprocess.run([program, self.host.sockets[0], self.host.gpus[0]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        self.assertEqual(0, done.returncode, done.stdout.decode())
        self.assertIn("all cells as they should be", done.stdout.decode())


if __name__ == "__main__":
    unittest.main()
