import os
import signal
import subprocess
import sys
import time
import unittest
import warnings

import kvcached_client as kvc
from tests.domain import QUIET, DomainTestCase, fill, is_filled, make_group
from tests.host import HostTestCase, TestHost
from tests.support import LIBRARY, PYTHON_FOLDER


class EndTests(DomainTestCase):
    def test_withdrawn_pools_say_so_everywhere(self):
        self.pool.grow(0, 1, timeout=30)
        blocks = self.pool.alloc(0, 2)
        self.pool.keep_events()
        self.arenas[0].keep_events()
        self.assertEqual("withdrawn", self.host.ask("withdraw " + self.name))
        self.assertEqual([kvc.Withdrawn(124)], self.pool.poll_events(timeout=30))
        for call in (self.pool.check, lambda: self.pool.alloc(0, 1), lambda: self.pool.grow(0, 1, timeout=5)):
            with self.assertRaises(kvc.PoolGoneError) as caught:
                call()
            self.assertIn("A rank's memory is lost", str(caught.exception))
        self.assertEqual([kvc.PoolGone(124)], self.arenas[0].poll_events(timeout=30))
        with self.assertRaises(kvc.PoolGoneError):
            self.arenas[0].check()
        self.pool.keep_events()  # who asks late hears of it too
        self.assertEqual([kvc.Withdrawn(124)], self.pool.poll_events(timeout=30))
        del blocks

    def test_closed_things_say_so(self):
        pool, arena = self.pool, self.arenas.pop()
        pool.close()
        pool.close()
        arena.close()
        arena.close()
        for call in (lambda: pool.alloc(0, 1), pool.check, pool.stats, arena.stats, lambda: arena.step_done(1), arena.check):
            with self.assertRaises(kvc.HandleError):
                call()
        self.assertTrue(pool.is_closed and arena.is_closed)
        self.session.close()
        with self.assertRaises(kvc.HandleError):
            self.session.open_pool(self.spec)

    def test_closing_a_session_ends_its_pools(self):
        self.session.close()
        with self.assertRaises(kvc.HandleError):
            self.pool.alloc(0, 1)
        self.pool.close()
        self.assertTrue(self.pool.is_closed)
        self.wait_until(lambda: self.host.ask("bytes " + self.name) == "no such pool")

    def test_a_name_in_use_is_refused(self):
        with kvc.Session(self.host.sockets[1], "other") as other:
            with self.assertRaises(kvc.BadSpecError) as caught:
                other.open_pool(self.spec)
            self.assertEqual("KVC_REFUSED_NAME_IN_USE", caught.exception.name)


class ForkTests(DomainTestCase):
    def test_a_forked_child_holds_nothing_and_harms_nothing(self):
        self.pool.grow(0, 1, timeout=30)
        blocks = self.pool.alloc(0, 2)
        fill(self.arenas[0].tensors[0], blocks[0], 99)
        self.pool.keep_events()
        self.pool.events_fileno()
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                problems = []
                for number in os.listdir("/proc/self/fd"):
                    try:
                        target = os.readlink("/proc/self/fd/" + number)
                    except OSError:
                        continue
                    if "memfd" in target or "eventfd" in target or int(number) >= 1024:
                        problems.append(target)
                base = "{0:x}-".format(self.arenas[0].base_address)
                with open("/proc/self/maps") as maps:
                    problems += [line for line in maps if line.startswith(base) or "memfd:kv" in line]
                for call in (lambda: self.pool.alloc(0, 1), self.pool.close, self.session.close, lambda: self.arenas[0].step_done(1)):
                    try:
                        call()
                        problems.append("a forked child was served")
                    except kvc.ForkedError:
                        pass
                os.write(writer, (repr(problems) if problems else "fine").encode()[:4000])
            finally:
                os._exit(0)
        os.close(writer)
        self.assertEqual(b"fine", os.read(reader, 4000))
        os.close(reader)
        os.waitpid(child, 0)
        self.assertTrue(is_filled(self.arenas[0].tensors[0], blocks[0], 99))
        self.assertTrue(self.session.is_connected and self.arenas[0].is_attached)
        self.pool.grow(0, 1, timeout=30)
        self.pool.free(0, blocks, 0)


ORPHAN = """
import signal, sys, time
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
import kvcached_client as kvc
sys.path.insert(0, {python!r})
from tests.domain import QUIET, fill, is_filled, make_group
session = kvc.Session({sockets!r}[0], "orphan", close_timeout=0.2)
pool = session.open_pool(kvc.PoolSpec("orphan", [make_group()], ["HOST-0", "HOST-1"]), QUIET)
arenas = [kvc.Arena({sockets!r}[rank], "orphan", rank, "HOST-" + str(rank), detach_timeout=0.2) for rank in range(2)]
while not pool.stats().mapped_pages:
    try:
        pool.grow(0, 1, timeout=30)
    except kvc.UnavailableError:
        pass
block, = pool.alloc(0, 1)
fill(arenas[0].tensors[0], block, 5)
print("open", flush=True)
sys.stdin.readline()
while session.is_connected or arenas[0].is_attached:
    time.sleep(0.01)
try:
    pool.grow(0, 1, timeout=0.5)
    raise SystemExit("pages were granted by nobody")
except kvc.RefusedError:
    pass
assert len(pool.alloc(0, 1)) == 1, "mapped pages can't be used while the lease lasts"
assert is_filled(arenas[0].tensors[0], block, 5)
print("lives", flush=True)
"""

SUCCESSOR = """
import sys, kvcached_client as kvc
sys.path.insert(0, {python!r})
from tests.domain import make_group, QUIET
session = kvc.Session({socket!r}, "first")
pool = session.open_pool(kvc.PoolSpec("heir", [make_group()], ["HOST-0", "HOST-1"]), QUIET)
print("open", flush=True)
sys.stdin.readline()
while not pool.stats().mapped_pages:
    try:
        pool.grow(0, 1, timeout=30)
    except kvc.UnavailableError:
        pass
blocks = pool.alloc(0, 4)
pool.cache(0, blocks[0], b"cached", 1)
pool.tag(0, blocks[1], b"in use")
print(*blocks, flush=True)
sys.stdin.readline()
"""


class HostDeathTests(HostTestCase):
    def test_engine_and_memory_outlive_their_host(self):
        if not isinstance(self.host, TestHost):
            self.skipTest("kills its host")
        host = TestHost()
        self.addCleanup(host.close)
        code = ORPHAN.format(python=PYTHON_FOLDER, sockets=host.sockets)
        variables = dict(os.environ, PYTHONPATH=PYTHON_FOLDER, KVCACHED_LIBRARY=LIBRARY)
        engine = subprocess.Popen([sys.executable, "-B", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables)
        self.assertEqual(b"open\n", engine.stdout.readline())
        host.kill()
        output, _ = engine.communicate(b"go\n", timeout=120)
        self.assertEqual((b"lives\n", 0), (output, engine.returncode))


class SuccessionTests(HostTestCase):
    def test_a_new_scheduler_finds_tagged_blocks_and_their_data(self):
        code = SUCCESSOR.format(python=PYTHON_FOLDER, socket=self.host.sockets[0])
        variables = dict(os.environ, PYTHONPATH=PYTHON_FOLDER, KVCACHED_LIBRARY=LIBRARY)
        first = subprocess.Popen([sys.executable, "-B", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables)
        self.assertEqual(b"open\n", first.stdout.readline())
        arenas = [kvc.Arena(self.host.sockets[rank], "heir", rank, self.host.gpus[rank]) for rank in range(2)]
        first.stdin.write(b"go\n")
        first.stdin.flush()
        blocks = [int(word) for word in first.stdout.readline().split()]
        for arena in arenas:
            fill(arena.tensors[0], blocks[0], 40 + arena.rank)
        first.send_signal(signal.SIGKILL)
        first.wait(30)
        first.stdin.close()
        first.stdout.close()

        with kvc.Session(self.host.sockets[1], "second") as session:
            spec = kvc.PoolSpec("heir", [make_group()], self.host.gpus)
            deadline = time.monotonic() + 60
            while True:
                try:
                    pool = session.open_pool(spec, QUIET)
                    break
                except kvc.BadSpecError:  # the host has not seen the first one's end yet
                    self.assertLess(time.monotonic(), deadline)
            tagged = {item.tag: item for item in pool.tagged_blocks(0)}
            self.assertEqual({b"cached": blocks[0], b"in use": blocks[1]}, {tag: item.block for tag, item in tagged.items()})
            self.assertTrue(all(item.is_cached for item in tagged.values()))
            pool.take_cached(0, [blocks[0]], [b"cached"])
            for arena in arenas:
                self.assertTrue(is_filled(arena.tensors[0], blocks[0], 40 + arena.rank))
        for arena in arenas:
            arena.close()


if __name__ == "__main__":
    unittest.main()
