import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
import unittest
import warnings

import kvcached_client as kvc
from tests.host import HostTestCase
from tests.support import LIBRARY, PYTHON_FOLDER

PAGE = 2 << 20
LAYERS, TOKENS = 2, 16
QUIET = kvc.PoolOptions(grow_ahead=False, warm_decay=None, null_block=False)


def make_group(name="full", page_bytes=PAGE):
    return kvc.multi_head(name, layers=LAYERS, kv_heads=2, head_elements=1024, dtype="float32", tensor_parallel=2, virtual_bytes=64 << 20, page_bytes=page_bytes)


def fill(tensor, block, value):
    """Fills a block of a tensor on main memory with one byte."""
    ctypes.memset(tensor.address + block * tensor.block_stride_bytes, value, tensor.block_bytes)


def is_filled(tensor, block, value):
    """Whether all of a block is that byte."""
    return ctypes.string_at(tensor.address + block * tensor.block_stride_bytes, tensor.block_bytes) == bytes([value]) * tensor.block_bytes


class DomainTestCase(HostTestCase):
    """A pool of two ranks with both workers attached in this process."""

    name = "pool"
    options = QUIET

    def setUp(self):
        self.arenas = []
        self.addCleanup(lambda: [arena.close() for arena in self.arenas])
        self.session = kvc.Session(self.host.sockets[0], "tests")
        self.addCleanup(self.session.close)
        self.spec = kvc.PoolSpec(self.name, [make_group()], self.host.gpus)
        self.pool = self.session.open_pool(self.spec, self.options)
        for rank in range(2):
            self.arenas.append(kvc.Arena(self.host.sockets[rank], self.name, rank, self.host.gpus[rank]))

    @property
    def blocks_per_page(self):
        return PAGE // self.spec.groups[0].block_bytes


class BlockTests(DomainTestCase):
    def test_blocks_come_from_pages_that_every_rank_has(self):
        self.assertIsNone(self.pool.try_alloc("full", 1))
        with self.assertRaises(kvc.NoBlocksError) as caught:
            self.pool.alloc(0, 1)
        self.assertIn("Grow", str(caught.exception))
        self.assertEqual(2, self.pool.grow("full", 2, timeout=30))
        count = 2 * self.blocks_per_page
        blocks = self.pool.alloc("full", count)
        self.assertEqual(count, len(set(blocks)))
        self.assertIsNone(self.pool.try_alloc(0, 1))
        for arena in self.arenas:
            self.assertEqual(2, arena.stats().pages)
            for tensor in arena.tensors:
                for block in blocks:
                    fill(tensor, block, (block + tensor.layer * 7 + tensor.buffer * 3 + arena.rank * 11) % 251)
        for arena in self.arenas:
            for tensor in arena.tensors:
                for block in blocks:
                    expected = (block + tensor.layer * 7 + tensor.buffer * 3 + arena.rank * 11) % 251
                    self.assertTrue(is_filled(tensor, block, expected), "another block was overwritten")
        self.pool.free(0, blocks, kvc.STEP_NONE)

    def test_tensors_are_one_per_layer_and_buffer(self):
        arena = self.arenas[1]
        self.assertEqual(["full"], arena.group_names)
        self.assertEqual([(0, layer, buffer) for layer in range(LAYERS) for buffer in range(2)], [(t.group, t.layer, t.buffer) for t in arena.tensors])
        self.assertIs(arena.tensors[3], arena.tensor("full", 1, 1))
        self.assertTrue(arena.is_host_accessible and arena.is_attached)
        with self.assertRaises(ValueError):
            arena.tensor("full", 2)
        for tensor in arena.tensors:
            self.assertGreaterEqual(tensor.address, arena.base_address)
            last = tensor.address + (tensor.block_count - 1) * tensor.block_stride_bytes + tensor.block_bytes
            self.assertLessEqual(last, arena.base_address + arena.byte_count)

    def test_wrong_blocks_are_named(self):
        self.pool.grow(0, 1, timeout=30)
        a, b = self.pool.alloc(0, 2)
        for blocks, words in (([a, a], "position 1"), ([a, 10**6], "Block 1000000"), ([-1], "Block -1")):
            with self.assertRaises(kvc.BlockError) as caught:
                self.pool.free(0, blocks, 1)
            self.assertIn(words, str(caught.exception))
        self.pool.free(0, [a], 1)
        with self.assertRaises(kvc.BlockError) as caught:
            self.pool.free(0, [a, b], 1)
        self.assertEqual("KVC_ERROR_DOUBLE_FREE", caught.exception.name)
        self.pool.free(0, (ctypes.c_int32 * 1)(b), kvc.STEP_SYNC)
        for wrong in (lambda: self.pool.alloc(1, 1), lambda: self.pool.alloc(-1, 1), lambda: self.pool.alloc("other", 1), lambda: self.pool.grow(0, 0, timeout=1)):
            with self.assertRaises(ValueError):
                wrong()
        self.assertEqual([], self.pool.alloc(0, 0))

    def test_alloc_or_grow_grows_or_says_why_not(self):
        blocks = self.pool.alloc_or_grow(0, self.blocks_per_page + 1, timeout=30)
        self.assertGreaterEqual(self.pool.stats().mapped_pages, 2)
        with self.assertRaises(kvc.MemoryRefusedError) as caught:
            self.pool.alloc_or_grow(0, 10**5, timeout=5)
        self.assertGreater(len(str(caught.exception)), 20)
        self.pool.free(0, blocks, 0)

    def test_alloc_into_fills_an_array(self):
        self.pool.grow(0, 1, timeout=30)
        array = (ctypes.c_int32 * 16)(*[-1] * 16)
        self.pool.alloc_into(0, array)
        self.assertEqual(16, len(set(array)))
        self.pool.free(0, array, 0)

    def test_counts_and_extents_are_those_of_the_pool(self):
        self.pool.grow(0, 3, timeout=30)
        blocks = self.pool.alloc(0, 5)
        stats = self.pool.stats()
        self.assertEqual((3, 5, 2), (stats.mapped_pages, stats.used_blocks, stats.rank_count))
        self.assertEqual(3, sum(pages for _first, pages in self.pool.extents(0)))
        available = self.pool.available(0)
        self.assertEqual(3 * self.blocks_per_page - 5, available.free_blocks)
        mapped, live = self.pool.rank_bytes(1)
        self.assertEqual((3 * self.spec.groups[0].bytes_per_page, 5 * self.spec.groups[0].block_bytes * LAYERS * 2), (mapped, live))
        self.assertEqual([mapped, mapped], self.host.lent_bytes(self.name))
        with self.assertRaises(ValueError):
            self.pool.rank_bytes(2)
        self.pool.free(0, blocks, 0)


class MemoryTests(DomainTestCase):
    def test_trim_waits_for_the_step_on_every_rank(self):
        self.pool.grow(0, 1, timeout=30)
        self.pool.free(0, self.pool.alloc(0, 4), 7)
        self.arenas[0].step_done(7)
        returned = []
        trimming = threading.Thread(target=lambda: returned.append(self.pool.trim(0, timeout=60)))
        trimming.start()
        while not self.arenas[1].stats().leaving_extents:
            time.sleep(0.01)
        self.assertEqual((1, []), (self.arenas[1].stats().leaving_extents, returned))
        self.assertTrue(trimming.is_alive())
        self.arenas[1].step_done(7)
        trimming.join(60)
        self.assertEqual([1], returned)
        self.assertEqual([0, 0], self.host.lent_bytes(self.name))
        self.assertEqual([0, 0], [arena.stats().descriptors for arena in self.arenas])
        for wrong in (0, -5, kvc.STEP_SYNC):
            with self.assertRaises(ValueError):
                self.arenas[0].step_done(wrong)

    def test_pinned_pages_stay(self):
        self.pool.grow(0, 1, timeout=30)
        (first, pages), = self.pool.extents(0)
        self.pool.pin(0, first, pages)
        self.assertEqual((0, 1), (self.pool.trim(0, timeout=30), self.pool.stats().pinned_extents))
        self.pool.unpin(0, first, pages)
        with self.assertRaises(kvc.NotThereError):
            self.pool.unpin(0, first, pages)
        with self.assertRaises(kvc.NotThereError):
            self.pool.pin(0, first + 100, 1)
        self.assertEqual(1, self.pool.trim(0, timeout=30))

    def test_without_a_worker_nothing_is_granted(self):
        self.arenas.pop().close()
        with self.assertRaises(kvc.UnavailableError) as caught:
            self.pool.grow(0, 1, timeout=5)
        self.assertIn("KVC_REFUSED", str(caught.exception))


class NullBlockTests(DomainTestCase):
    options = kvc.PoolOptions(grow_ahead=False, warm_decay=None)

    def test_null_block_is_never_handed_out(self):
        with self.assertRaises(kvc.NotThereError):
            self.pool.null_block(0)
        block = self.pool.null_block(0, timeout=30)
        self.assertEqual(block, self.pool.null_block(0))
        others = self.pool.alloc(0, self.blocks_per_page * self.pool.stats().mapped_pages - 1)
        self.assertNotIn(block, others)
        self.assertIsNone(self.pool.try_alloc(0, 1))
        with self.assertRaises(kvc.BlockError):
            self.pool.free(0, [block], 0)


class CacheTests(DomainTestCase):
    def setUp(self):
        super().setUp()
        self.pool.grow(0, 1, timeout=30)
        self.pool.keep_events()

    def test_cached_blocks_are_found_again_by_their_tags(self):
        a, b, c = self.pool.alloc(0, 3)
        self.pool.cache(0, a, b"tag a", 1)
        self.pool.tag(0, b, b"b" * 64)
        self.pool.cache_tagged(0, [b], 1)
        found = {item.block: item for item in self.pool.tagged_blocks(0)}
        self.assertEqual({a: b"tag a", b: b"b" * 64}, {block: item.tag for block, item in found.items()})
        self.assertTrue(found[a].is_cached)
        self.assertEqual(b"tag a", self.pool.tag_of(0, a))
        with self.assertRaises(kvc.TagMismatchError):
            self.pool.take_cached(0, [a, b], [b"tag a", b"other"])
        self.assertEqual(2, self.pool.stats().cached_blocks, "a refused call changed something")
        self.pool.take_cached(0, [a, b], [b"tag a", b"b" * 64])
        self.assertEqual((0, 3), (self.pool.stats().cached_blocks, self.pool.stats().used_blocks))
        with self.assertRaises(kvc.BlockError):
            self.pool.take_cached(0, [a])
        with self.assertRaises(kvc.BlockError):
            self.pool.tag_of(0, c)
        for tag in (b"", b"x" * 65):
            with self.assertRaises(kvc.BlockError) as caught:
                self.pool.cache(0, c, tag, 1)
            self.assertEqual("KVC_ERROR_BAD_TAG", caught.exception.name)
        with self.assertRaises(kvc.BlockError) as caught:
            self.pool.cache_tagged(0, [c], 1)
        self.assertEqual("KVC_ERROR_NOT_TAGGED", caught.exception.name)

    def test_allocating_evicts_the_oldest_and_says_so(self):
        blocks = self.pool.alloc(0, self.blocks_per_page)
        for number, block in enumerate(blocks):
            self.pool.cache(0, block, number.to_bytes(4, "big"), 1)
        self.pool.touch(0, blocks[0])
        self.assertEqual(2, len(self.pool.alloc(0, 2)))
        events = self.pool.poll_events(timeout=30)
        self.assertEqual([kvc.Evicted(0, blocks[i], i.to_bytes(4, "big")) for i in (1, 2)], events)
        self.assertEqual([], self.pool.poll_events())
        with self.assertRaises(kvc.BlockError):
            self.pool.touch(0, blocks[1])

    def test_evicting_by_hand(self):
        block, = self.pool.alloc(0, 1)
        self.pool.cache(0, block, b"t", 1)
        self.pool.evict(0, [block])
        self.assertEqual([kvc.Evicted(0, block, b"t")], self.pool.poll_events(timeout=30))
        with self.assertRaises(kvc.BlockError):
            self.pool.evict(0, [block])

    def test_events_beyond_the_room_are_counted(self):
        self.pool.keep_events(capacity=2)
        blocks = self.pool.alloc(0, 5)
        for block in blocks:
            self.pool.cache(0, block, b"t", 1)
        self.pool.evict(0, blocks)
        self.assertEqual([kvc.Lost(3), kvc.Evicted(0, blocks[3], b"t"), kvc.Evicted(0, blocks[4], b"t")], self.pool.poll_events(timeout=30))

    def test_descriptor_is_readable_while_there_are_events(self):
        descriptor = self.pool.events_fileno()
        self.assertGreaterEqual(descriptor, 1024)
        self.assertFalse(self.poll(descriptor, 0))
        block, = self.pool.alloc(0, 1)
        self.pool.cache(0, block, b"t", 1)
        self.pool.evict(0, [block])
        self.assertTrue(self.poll(descriptor, 30))
        self.pool.poll_events()
        self.assertFalse(self.poll(descriptor, 0))

    @staticmethod
    def poll(descriptor, seconds):
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return poller.poll(int(seconds * 1000))

    def test_waiting_for_events_lets_other_threads_run(self):
        got = []
        waiting = threading.Thread(target=lambda: got.extend(self.pool.poll_events(timeout=60)))
        waiting.start()
        block, = self.pool.alloc(0, 1)
        self.pool.cache(0, block, b"t", 1)
        self.pool.evict(0, [block])
        waiting.join(60)
        self.assertEqual([kvc.Evicted(0, block, b"t")], got)

    def test_memory_asked_for_is_given_up_and_told(self):
        a, b = self.pool.alloc(0, 2)
        self.pool.cache(0, a, b"t", 1)
        self.pool.free(0, [b], 1)
        for arena in self.arenas:
            arena.step_done(1)
        self.assertEqual("asked", self.host.ask("revoke " + self.name))
        events = []
        while not any(isinstance(event, kvc.Shrink) for event in events) or not any(isinstance(event, kvc.Evicted) for event in events):
            came = self.pool.poll_events(timeout=30)
            self.assertTrue(came, events)
            events += came
        self.assertIn(kvc.Evicted(0, a, b"t"), events)
        self.assertIn(kvc.Shrink(1, 1), events)
        self.assertEqual(0, self.pool.stats().mapped_pages)
        with self.assertRaises(kvc.BlockError) as caught:
            self.pool.take_cached(0, [a], [b"t"])
        self.assertEqual("KVC_ERROR_STALE", caught.exception.name)


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
        self.assertEqual("no such pool", self.host.ask("bytes " + self.name))

    def test_a_name_in_use_is_refused(self):
        with kvc.Session(self.host.sockets[1], "other") as other:
            with self.assertRaises(kvc.BadSpecError) as caught:
                other.open_pool(self.spec)
            self.assertEqual("KVC_REFUSED_NAME_IN_USE", caught.exception.name)


SUCCESSOR = """
import sys, kvcached_client as kvc
sys.path.insert(0, {python!r})
from tests.test_domain import make_group, QUIET
session = kvc.Session({socket!r}, "first")
pool = session.open_pool(kvc.PoolSpec("heir", [make_group()], ["HOST-0", "HOST-1"]), QUIET)
print("open", flush=True)
sys.stdin.readline()
pool.grow(0, 1, timeout=30)
blocks = pool.alloc(0, 4)
pool.cache(0, blocks[0], b"cached", 1)
pool.tag(0, blocks[1], b"in use")
print(*blocks, flush=True)
sys.stdin.readline()
"""


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


if __name__ == "__main__":
    unittest.main()
