"""What several tests need: the library, a fresh interpreter, a C compiler."""

import os
import shutil
import subprocess
import sys
import unittest

PYTHON_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(PYTHON_FOLDER)
LIBRARY = os.environ.get("KVCACHED_LIBRARY") or os.path.join(ROOT, "artifacts", "native", "libkvcached.so")


class LibraryTestCase(unittest.TestCase):
    """A test of the native library, which ./build-native.sh makes: without it the test fails, rather than pass unseen."""

    @classmethod
    def setUpClass(cls):
        if not os.path.isfile(LIBRARY):
            raise RuntimeError("There is no {0}: run ./build-native.sh first.".format(LIBRARY))
        os.environ["KVCACHED_LIBRARY"] = LIBRARY


def run_python(code, **environment):
    """Runs code in an interpreter of its own; gives its exit code and what it wrote."""
    variables = dict(os.environ, PYTHONPATH=PYTHON_FOLDER, KVCACHED_LIBRARY=LIBRARY, PYTHONDONTWRITEBYTECODE="1", **environment)
    command = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", code]
    done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    return done.returncode, done.stdout.decode()


def find_compiler():
    return shutil.which("cc") or shutil.which("clang") or shutil.which("gcc")
