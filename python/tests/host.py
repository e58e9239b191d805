"""Starts the hosts of a domain for tests: sockets and memory are real, and it grants whatever there is memory for."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
import urllib.request

from tests.support import ROOT, LibraryTestCase

PROGRAM = os.environ.get("KVCACHED_TEST_HOST") or os.path.join(
    ROOT, "tests", "Kvcached.Client.TestHost", "bin", "Release", "net10.0", "kvcached-test-host"
)


class TestHost:
    """Two hosts on main memory, ``HOST-0`` and ``HOST-1``."""

    __test__ = False

    def __init__(self, mib=256):
        self.folder = tempfile.mkdtemp(prefix="kvcached-")
        self._process = subprocess.Popen([PROGRAM, self.folder, "2", str(mib)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.gpus = ["HOST-0", "HOST-1"]
        self.sockets = [os.path.join(self.folder, gpu + ".sock") for gpu in self.gpus]
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError("the test host did not start")

    def ask(self, command):
        """Has it do something: ``revoke POOL``, ``withdraw POOL``, ``bytes POOL``."""
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().decode().strip()

    def lent_bytes(self, pool):
        return [int(word) for word in self.ask("bytes " + pool).split()]

    def kill(self):
        self._process.kill()
        self._process.wait(30)

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)
        shutil.rmtree(self.folder)


class RealHosts:
    """Two hosts that run already: ``KVCACHED_SOCKETS`` names their engine sockets, ``KVCACHED_GPUS`` their GPUs when those are not HOST-0 and HOST-1,
    ``KVCACHED_MANAGEMENT`` the address of their management HTTP; ``tests.real`` starts such."""

    def __init__(self):
        self.sockets = os.environ["KVCACHED_SOCKETS"].split()
        self.gpus = os.environ.get("KVCACHED_GPUS", "HOST-0 HOST-1").split()

    def ask(self, command):
        words = command.split()
        if words[0] != "bytes" or "KVCACHED_MANAGEMENT" not in os.environ:
            raise unittest.SkipTest("only the test host does '{0}' when asked".format(command))
        with urllib.request.urlopen(os.environ["KVCACHED_MANAGEMENT"] + "/pools", timeout=30) as answer:
            pools = [pool for pool in json.load(answer)["pools"] if pool["name"] == words[1]]
        return " ".join(str(number) for number in pools[0]["mappedBytes"]) if pools else "no such pool"

    def lent_bytes(self, pool):
        return [int(word) for word in self.ask("bytes " + pool).split()]

    def close(self):
        pass


class HostTestCase(LibraryTestCase):
    """Tests with a host; skipped where it wasn't built, which ./test.sh does."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if os.environ.get("KVCACHED_SOCKETS"):
            cls.host = RealHosts()
            return
        if not os.path.isfile(PROGRAM):
            raise unittest.SkipTest("there is no {0}; ./test.sh builds it".format(PROGRAM))
        cls.host = TestHost()

    @classmethod
    def tearDownClass(cls):
        cls.host.close()
