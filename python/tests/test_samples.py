import importlib.util
import os
import subprocess
import sys
import unittest

from tests.host import HostTestCase, TestHost
from tests.support import LIBRARY, PYTHON_FOLDER, ROOT


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


if __name__ == "__main__":
    unittest.main()
