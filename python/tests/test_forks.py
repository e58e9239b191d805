"""Children that a scheduler or worker forks while it uses the library: refused everywhere, and of no weight when their parent dies."""

import os
import signal
import subprocess
import sys
import unittest

import kvcached_client as kvc
from kvcached_client import _abi
from kvcached_client._library import library
from tests.domain import DomainTestCase
from tests.support import LIBRARY, PYTHON_FOLDER

FORKED = 3

# A worker whose child lives on, as a data loader or a compiler pool would.
PARENT = """
import os, sys, signal
import kvcached_client as kvc
arena = kvc.Arena({socket!r}, {pool!r}, 1, {gpu!r})
print("attached", flush=True)
sys.stdin.readline()
child = os.fork()
if child == 0:
    os.close(0); os.close(1); os.close(2)
    while True:
        signal.pause()
print(child, arena.stats().pages, flush=True)
sys.stdin.readline()
"""


def library_memory_of(process):
    """What a process has of the library's memory and connections: descriptors and mappings."""
    found = []
    folder = "/proc/{0}/fd".format(process)
    for number in os.listdir(folder):
        target = os.readlink(os.path.join(folder, number))
        if "memfd" in target or target.startswith("socket:"):
            found.append(target)
    with open("/proc/{0}/maps".format(process)) as maps:
        return found + [line for line in maps if "memfd:kv" in line]


class ForkedCallTests(DomainTestCase):
    def test_every_call_of_a_forked_child_is_refused(self):
        self.pool.grow(0, 1, timeout=30)
        self.pool.alloc(0, 1)
        lib = library()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                served = []
                for name, types in sorted(dict(_abi.WAITING, **_abi.PROMPT).items()):
                    arguments = [self.pool._handle if kind is _abi.Handle else 0 if kind in (_abi.c_int32, _abi.c_int64) else None for kind in types]
                    if getattr(lib, name)(*arguments) != FORKED:
                        served.append(name)
                os.write(writer, (repr(served) if served else "refused").encode()[:4000])
            finally:
                os._exit(0)
        os.close(writer)
        self.assertEqual(b"refused", os.read(reader, 4000))
        os.close(reader)
        os.waitpid(child, 0)
        self.assertEqual(1, self.pool.stats().used_blocks)


class LivingChildTests(DomainTestCase):
    def test_a_living_child_of_a_killed_worker_keeps_neither_its_seat_nor_its_memory(self):
        self.arenas.pop().close()
        code = PARENT.format(socket=self.host.sockets[1], pool=self.name, gpu=self.host.gpus[1])
        variables = dict(os.environ, PYTHONPATH=PYTHON_FOLDER, KVCACHED_LIBRARY=LIBRARY)
        worker = subprocess.Popen([sys.executable, "-W", "ignore", "-B", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables)
        self.addCleanup(worker.stdout.close)
        self.assertEqual(b"attached\n", worker.stdout.readline())
        self.wait_until(self.is_everybody_known)
        self.pool.grow(0, 2, timeout=30)
        worker.stdin.write(b"fork\n")
        worker.stdin.flush()
        child, pages = (int(word) for word in worker.stdout.readline().split())
        self.addCleanup(os.kill, child, signal.SIGKILL)
        self.assertEqual(2, pages)
        self.assertEqual([], library_memory_of(child))

        worker.send_signal(signal.SIGKILL)
        worker.wait(30)
        worker.stdin.close()
        os.kill(child, 0)

        # The host takes the parent for what it is: the rank's seat is free, and its memory goes back with the pool.
        self.arenas.append(kvc.Arena(self.host.sockets[1], self.name, 1, self.host.gpus[1]))
        self.wait_until(lambda: self.arenas[-1].stats().pages == 2)
        self.pool.close()
        self.wait_until(lambda: self.host.ask("bytes " + self.name) == "no such pool")
        os.kill(child, 0)


if __name__ == "__main__":
    unittest.main()
