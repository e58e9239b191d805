import ctypes
import threading
import unittest

import kvcached_client as kvc
from tests.domain import LAYERS, DomainTestCase, fill, is_filled


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
            self.wait_until(lambda: arena.stats().pages == 2)
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
        self.wait_until(lambda: self.arenas[1].stats().leaving_extents)
        self.assertEqual((1, []), (self.arenas[1].stats().leaving_extents, returned))
        self.assertTrue(trimming.is_alive())
        self.arenas[1].step_done(7)
        trimming.join(60)
        self.assertEqual([1], returned)
        self.assertEqual([0, 0], self.host.lent_bytes(self.name))
        self.wait_until(lambda: [arena.stats().descriptors for arena in self.arenas] == [0, 0])
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
        fresh = kvc.PoolSpec(self.name + "-fresh", self.spec.groups, self.spec.gpus)
        with self.session.open_pool(fresh, self.options) as pool, self.assertRaises(kvc.NotThereError):
            pool.null_block(0)
        block = self.pool.null_block(0, timeout=30)
        self.assertEqual(block, self.pool.null_block(0))
        others = self.pool.alloc(0, self.blocks_per_page * self.pool.stats().mapped_pages - 1)
        self.assertNotIn(block, others)
        self.assertIsNone(self.pool.try_alloc(0, 1))
        with self.assertRaises(kvc.BlockError):
            self.pool.free(0, [block], 0)


if __name__ == "__main__":
    unittest.main()


class GuardTests(DomainTestCase):
    guard = "zero"

    def test_guarded_arenas_read_as_zeroes_where_nothing_is_mapped(self):
        self.pool.grow("full", 1, timeout=30)
        held = self.pool.alloc("full", self.blocks_per_page)
        for arena in self.arenas:
            self.wait_until(lambda: arena.stats().pages == 1)
            for tensor in arena.tensors:
                for block in held:
                    fill(tensor, block, 0xEE)
        for arena in self.arenas:
            for tensor in arena.tensors:
                self.assertTrue(all(is_filled(tensor, block, 0) for block in range(tensor.block_count) if block not in held))
        self.pool.free("full", held, kvc.STEP_NONE)
        self.assertEqual(1, self.pool.trim("full", timeout=30))
        for arena in self.arenas:
            self.wait_until(lambda: arena.stats().mapped_bytes == 0)
            self.assertTrue(all(is_filled(tensor, block, 0) for tensor in arena.tensors for block in held))

    def test_unknown_guards_are_refused(self):
        with self.assertRaises(ValueError):
            kvc.Arena(self.host.sockets[0], self.name, 0, self.host.gpus[0], guard="ones")
