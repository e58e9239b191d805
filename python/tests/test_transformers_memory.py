"""Blocks of an engine like transformers over a real pool on main memory."""

import ctypes
import itertools
import os
import time

import kvcached_client as kvc
from kvcached_client.integrations.transformers.layout import CacheShape
from kvcached_client.integrations.transformers.manager import make_elastic, tag_of
from kvcached_client.integrations.transformers.memory import EngineMemory
from kvcached_client.integrations.transformers.settings import Settings
from tests.host import HostTestCase, TestHost
from tests.seam import BlockManager

# 64 KiB a block and buffer, 32 of them a page; with three layers a page takes 12 MiB.
SHAPE = CacheShape(tensors=3, block_size=16, kv_heads=2, head_elements=512, item_bytes=4)
PER_PAGE = 32


class TransformersMemoryTests(HostTestCase):
    _numbers = itertools.count(1)

    def open(self, blocks=4 * PER_PAGE, capacity=None, **settings):
        """With more capacity than blocks, the library refuses what its virtual room has no place for."""
        settings = Settings(self.host.sockets[0], pool="hf-{0}-{1}".format(os.getpid(), next(self._numbers)), **settings)
        memory = EngineMemory(settings, SHAPE, blocks, self.host.gpus[0])
        self.addCleanup(memory.close)
        manager = BlockManager(4, SHAPE.block_size)
        memory.elastic.capacity = capacity or blocks
        make_elastic(manager, memory.elastic)
        return memory, manager

    def take(self, manager, count, shareable=False):
        """Blocks as the engine gets them, maybe only in a later pass: while the library grows ahead by the last pages, none are left to ask for."""
        deadline = time.monotonic() + 60
        while True:
            taken = manager.get_free_blocks(count, None, shareable, 0)
            if taken is not None:
                return taken
            self.assertLess(time.monotonic(), deadline, "no blocks came")
            manager.begin_pass()

    def test_the_engine_finds_every_token_with_its_own_arithmetic(self):
        memory, manager = self.open()
        taken = self.take(manager, 40)
        self.assertEqual(40, len(set(taken)))
        token_bytes = SHAPE.token_bytes
        for layer in range(SHAPE.tensors):
            for buffer in range(2):
                tensor = memory.arena.tensor("kv", layer, buffer)
                exported = memory.flat_buffer(layer, buffer, "float32", 0)._description.tensor
                self.assertEqual((tensor.address, 2, 512), (exported.data, exported.shape[1], exported.shape[2]))
                for block in taken:
                    for token in (0, SHAPE.block_size - 1):
                        row = block * SHAPE.block_size + token
                        self.assertLess(row, exported.shape[0])
                        place = tensor.address + block // memory.per_stride * tensor.block_stride_bytes + token * token_bytes
                        self.assertEqual(place, exported.data + row * token_bytes)
                        ctypes.memset(exported.data + row * token_bytes, 1 + layer * 2 + buffer, token_bytes)
        for layer in range(SHAPE.tensors):
            for buffer in range(2):
                address = memory.arena.tensor("kv", layer, buffer).address
                for block in taken:
                    for token in (0, SHAPE.block_size - 1):
                        there = ctypes.string_at(address + (block * SHAPE.block_size + token) * token_bytes, token_bytes)
                        self.assertEqual(bytes([1 + layer * 2 + buffer]) * token_bytes, there)

    def test_padding_blocks_read_as_zeroes_and_are_never_handed_out(self):
        memory, manager = self.open(blocks=64)
        address = memory.arena.tensor("kv", 2, 1).address
        for block in memory.trash:
            there = ctypes.string_at(address + block * SHAPE.block_bytes, SHAPE.block_bytes)
            self.assertEqual(bytes(SHAPE.block_bytes), there)
        taken = self.take(manager, 64)
        self.assertFalse(set(taken) & set(memory.trash))

    def test_counts_for_the_engine_are_those_of_its_own_manager(self):
        memory, manager = self.open(blocks=96)
        self.assertEqual((96, 96), (manager.num_blocks, manager.num_free_blocks))
        taken = self.take(manager, 30, True)
        self.assertEqual(66, manager.num_free_blocks)
        manager.complete(taken[0], 77)
        manager.free_blocks(taken, True)
        self.assertEqual(96, manager.num_free_blocks)
        self.assertIsNone(manager.get_free_blocks(97, None, True, 0))
        self.assertEqual((96, False), (manager.num_free_blocks, memory.elastic.has_missed))
        self.assertEqual(96, len(self.take(manager, 96, True)))

    def test_memory_goes_back_when_the_engine_gives_its_blocks_back(self):
        memory, manager = self.open()
        memory.clock.prepare()
        taken = self.take(manager, 3 * PER_PAGE)
        self.assertGreaterEqual(memory.pool.rank_bytes(0)[0], 3 * 12 << 20)
        manager.free_blocks(taken, False)
        memory.arena.step_done(1)
        deadline = time.monotonic() + 60
        while memory.pool.rank_bytes(0)[0] > 12 << 20:  # what was asked for ahead of need can come after a trim
            self.assertLess(time.monotonic(), deadline, "pages that nobody uses stay mapped")
            memory.pool.trim("kv", timeout=30)

    def test_an_exhausted_pool_is_a_miss_and_memory_that_comes_later_is_used(self):
        memory, manager = self.open(blocks=2 * PER_PAGE - 2, capacity=1000, grow_timeout=5.0)
        taken = self.take(manager, 2 * PER_PAGE - 2)
        self.assertIsNone(manager.get_free_blocks(1, None, False, 0))
        self.assertTrue(memory.elastic.has_missed)
        self.assertTrue(memory.elastic.refusal)
        manager.free_blocks(taken[:5], False)
        manager.begin_pass()
        self.assertFalse(memory.elastic.has_missed)
        self.assertEqual(5, len(self.take(manager, 5)))

    def test_what_was_set_aside_and_not_used_goes_back_before_the_next_pass(self):
        memory, manager = self.open()
        self.assertTrue(memory.elastic.reserve(20))
        self.assertEqual(22, memory.pool.stats().used_blocks)
        manager.begin_pass()
        self.assertEqual(2, memory.pool.stats().used_blocks)

    def test_complete_blocks_stay_findable_until_the_pool_evicts_them(self):
        memory, manager = self.open(blocks=PER_PAGE - 2, capacity=1000, grow_timeout=5.0)
        taken = self.take(manager, 3, True)
        for i, block in enumerate(taken):
            manager.complete(block, -5 - i)
        manager.free_blocks(taken, True)
        self.assertEqual(3, memory.pool.stats().cached_blocks)

        self.assertEqual(taken[2], manager._hash_to_id.get(-7))
        manager.increase_ref_count(taken[2])
        self.assertEqual(2, memory.pool.stats().cached_blocks)
        manager.begin_pass()
        self.assertEqual(2, memory.pool.stats().cached_blocks)

        others = self.take(manager, PER_PAGE - 2 - 1, True)  # all that is left of the only page: evicts the two others
        self.assertEqual(PER_PAGE - 3, len(others))
        self.assertTrue({taken[0], taken[1]} <= set(others))
        self.assertEqual(2, memory.elastic.losses)
        self.assertIsNone(manager._hash_to_id.get(-5))
        manager.begin_pass()
        self.assertEqual([-7], list(manager._hash_to_id))
        self.assertNotIn(taken[2], manager._init_block_ids)

    def test_a_block_that_was_looked_up_and_not_used_can_be_evicted_again(self):
        memory, manager = self.open()
        (block,) = self.take(manager, 1, True)
        manager.complete(block, 99)
        manager.free_blocks([block], True)
        self.assertEqual(block, manager._hash_to_id.get(99))
        self.assertEqual(0, memory.pool.stats().cached_blocks)
        manager.begin_pass()
        self.assertEqual(1, memory.pool.stats().cached_blocks)

    def test_an_eviction_behind_the_engines_back_is_noticed_when_it_looks(self):
        memory, manager = self.open()
        (block,) = self.take(manager, 1, True)
        manager.complete(block, 99)
        manager.free_blocks([block], True)
        memory.pool.evict("kv", [block // memory.per_stride])
        self.assertIsNone(manager._hash_to_id.get(99))
        self.assertEqual((0, {}), (memory.elastic.out, dict(manager._init_block_ids)))

    def test_a_second_engine_gets_what_the_first_gave_back(self):
        if isinstance(self.host, TestHost):
            self.skipTest("the test host refuses no memory; tests.real starts hosts that do")
        first, manager = self.open(blocks=40 * PER_PAGE, grow_timeout=5.0)
        second, other = self.open(blocks=40 * PER_PAGE, grow_timeout=5.0)
        most = 30 * PER_PAGE  # 360 MiB of 512
        taken = self.take(manager, most)
        self.assertIsNotNone(taken)
        second.elastic._grow_timeout = 0.0
        self.assertIsNone(other.get_free_blocks(most, None, False, 0))
        manager.free_blocks(taken, False)
        first.arena.step_done(1)
        second.elastic._grow_timeout = 5.0
        got, deadline = None, time.monotonic() + 60
        while got is None:
            self.assertLess(time.monotonic(), deadline, second.elastic.refusal)
            other.begin_pass()
            got = other.get_free_blocks(most, None, False, 0)
        self.assertEqual(most, len(got))

    def test_without_a_host_it_says_so(self):
        with self.assertRaises(kvc.UnavailableError):
            EngineMemory(Settings("/nowhere/engine.sock", start_timeout=0.2), SHAPE, 10, "HOST-0")

    def test_closing_returns_everything_and_frees_the_name(self):
        memory, manager = self.open()
        self.take(manager, PER_PAGE)
        name = memory.pool.spec.name
        memory.close()
        memory.close()
        again = EngineMemory(Settings(self.host.sockets[0], pool=name), SHAPE, 64, self.host.gpus[0])
        self.addCleanup(again.close)
        self.assertEqual(2, again.pool.stats().used_blocks)

    def test_tags_are_short_and_differ(self):
        hashes = (0, 1, -1, 255, 256, 2**63 - 1, -(2**63), 2**255)
        tags = [tag_of(value) for value in hashes]
        self.assertEqual(len(tags), len(set(tags)))
        self.assertTrue(all(1 <= len(tag) <= 64 for tag in tags))
