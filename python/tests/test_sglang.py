"""The parts of the SGLang plugin that need neither SGLang nor PyTorch. Its allocators are tried over SGLang's own sources by tests/engines/sglang_allocation.py."""

import itertools
import os
import sys
import tempfile
import unittest
from types import SimpleNamespace
from unittest import mock

from kvcached_client.integrations import sglang as plugin
from kvcached_client.integrations.errors import IntegrationError
from kvcached_client.integrations.sglang import hooks
from kvcached_client.integrations.sglang.buffers import PieceMemory
from kvcached_client.integrations.sglang.pieces import Pieces, pieces_of
from kvcached_client.integrations.sglang.settings import Settings, from_environment
from tests.engine_package import write_package
from tests.host import HostTestCase

MIB = 1 << 20


def description(rows, row_bytes, tokens_per_row=1):
    return SimpleNamespace(row_bytes=row_bytes, tokens_per_row=tokens_per_row, reserved_span_bytes=lambda item_bytes: rows * row_bytes)


class PiecesTests(unittest.TestCase):
    def test_a_piece_is_whole_pages_of_the_engine_and_whole_units_of_the_driver(self):
        for token_bytes, page_size in ((512, 1), (2048, 16), (1152, 64), (768, 64), (16384, 128)):
            pieces = Pieces(3, token_bytes, page_size, 100000)
            self.assertEqual((0, 0), (pieces.piece_bytes % (2 * MIB), pieces.tokens_per_piece % page_size))
            self.assertGreaterEqual(pieces.count * pieces.tokens_per_piece, 100000)
            group = pieces.group()
            self.assertEqual((3, 2, pieces.piece_bytes, pieces.piece_bytes), (group.layers, group.buffers, group.block_bytes, group.page_bytes))

    def test_pages_of_all_pieces_are_the_engines_pages_each_once(self):
        pieces = Pieces(1, 2048, 16, 60000 + 16)
        last = 60000 // 16
        ids = [page for piece in range(pieces.count) for page in pieces.page_ids(piece, last)]
        self.assertEqual(list(range(1, last + 1)), ids)

    def test_sizes_are_read_from_the_engines_descriptions(self):
        self.assertEqual(Pieces(2, 512, 16, 1016), pieces_of([description(1016, 512)] * 4, 4, 16))
        self.assertEqual(Pieces(2, 512, 16, 1024), pieces_of([description(64, 512 * 16, 16)] * 4, 4, 16))

    def test_buffers_that_differ_or_have_strange_rows_are_refused(self):
        for wrong in ([description(8, 512)] * 3, [description(8, 512), description(8, 256)], [description(8, 1000, 7)] * 2):
            with self.assertRaises(IntegrationError):
                pieces_of(wrong, 4, 16)
        with self.assertRaises(IntegrationError):
            Pieces(1, 61 * 1152 + 2, 1, 1000).group()


class SwitchTests(unittest.TestCase):
    def test_without_its_variable_nothing_is_read_or_changed(self):
        self.assertIsNone(from_environment({"KVCACHED_SGLANG_NONSENSE": "1"}))
        before = list(sys.meta_path), dict(os.environ)
        plugin.register()
        self.assertEqual(before, (list(sys.meta_path), dict(os.environ)))

    def test_what_is_wrong_ends_the_process_because_the_engine_would_go_on(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(sys, "path", [folder] + sys.path):
            write_package(folder, "sglang", "0.5.18", "0.5.99")
            with mock.patch.dict(os.environ, {"KVCACHED_SGLANG": "1"}):
                self.assertIn("KVCACHED_SGLANG_SOCKET isn't set", self.refusal())
                os.environ["KVCACHED_SGLANG_SOCKET"] = "/s"
                self.assertIn("sglang 0.5.99", self.refusal())
        sys.modules.pop("sglang", None)

    def test_sizing_that_was_switched_off_is_named(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(sys, "path", [folder] + sys.path):
            write_package(folder, "sglang", "0.5.18", "0.5.18")
            with mock.patch.dict(os.environ, {"KVCACHED_SGLANG": "1", "KVCACHED_SGLANG_SOCKET": "/s", "SGLANG_ENABLE_POST_CAPTURE_KV_SIZING": "0"}):
                self.assertIn("SGLANG_ENABLE_POST_CAPTURE_KV_SIZING is off", self.refusal())
        sys.modules.pop("sglang", None)

    def refusal(self):
        with self.assertRaises(SystemExit) as caught:
            plugin.register()
        self.assertNotIn("sglang", sys.modules)
        return str(caught.exception)

    def test_what_is_not_served_is_refused_by_name(self):
        plain = dict(tp_size=1, pp_size=1, disable_radix_cache=False, disaggregation_mode="null", speculative_algorithm=None, enable_hierarchical_cache=False)
        hooks.require_served(SimpleNamespace(**plain))
        changes = {"tp_size": 2, "pp_size": 2, "disable_radix_cache": True, "disaggregation_mode": "decode", "speculative_algorithm": "EAGLE", "enable_hierarchical_cache": True}
        for name, value in changes.items():
            with self.assertRaises(IntegrationError):
                hooks.require_served(SimpleNamespace(**dict(plain, **{name: value})))


class HookTests(unittest.TestCase):
    """The engine's classes, as far as a hook touches them."""

    class Allocator:
        memory, counts_all = object(), False

        def __init__(self, has_memory):
            self.has_memory, self.wanted = has_memory, []

        def available_size(self):
            return 1000 if self.counts_all else 10

        def want(self, tokens):
            self.wanted.append(tokens)
            return self.has_memory

    def test_the_tree_evicts_only_when_there_is_no_memory(self):
        class RadixCache:
            def __init__(self, allocator):
                self.token_to_kv_pool_allocator, self.evicted = allocator, 0

            def evict(self, params):
                self.evicted += params.num_tokens
                return "evicted"

        hooks.change_tree(SimpleNamespace(RadixCache=RadixCache, EvictResult=lambda: "nothing"))
        for has_memory, expected in ((True, ("nothing", 0)), (False, ("evicted", 7))):
            tree = RadixCache(self.Allocator(has_memory))
            self.assertEqual(expected, (tree.evict(SimpleNamespace(num_tokens=7)), tree.evicted))
            self.assertEqual([17], tree.token_to_kv_pool_allocator.wanted)
        plain = RadixCache(SimpleNamespace())
        self.assertEqual("evicted", plain.evict(SimpleNamespace(num_tokens=7)))

    def test_a_request_is_weighed_after_memory_was_asked_for(self):
        class PrefillAdder:
            page_size, rem_total_token_offset = 16, 100

            def add_one_req(self, req, has_chunked_req, truncation_align_size):
                return list(self.token_to_kv_pool_allocator.wanted)

        hooks.change_admission(SimpleNamespace(PrefillAdder=PrefillAdder))
        adder = PrefillAdder()
        adder.token_to_kv_pool_allocator = self.Allocator(True)
        req = SimpleNamespace(sampling_params=SimpleNamespace(max_new_tokens=10000), output_ids=[1] * 5, full_untruncated_fill_ids=[0] * 50, prefix_indices=[0] * 20)
        self.assertEqual([30 + 4096 + 16 + 100], adder.add_one_req(req, False, None))

    def test_what_is_not_mapped_counts_as_free_only_where_counts_are_compared(self):
        class SchedulerPoolStatsObserver:
            def _get_token_info(self):
                return self.token_to_kv_pool_allocator.available_size()

        hooks.change_counts(SimpleNamespace(SchedulerPoolStatsObserver=SchedulerPoolStatsObserver))
        observer = SchedulerPoolStatsObserver()
        observer.token_to_kv_pool_allocator = self.Allocator(True)
        self.assertEqual((1000, 10), (observer._get_token_info(), observer.token_to_kv_pool_allocator.available_size()))


class PieceMemoryTests(HostTestCase):
    _numbers = itertools.count(1)

    def test_a_buffer_is_one_stretch_of_addresses_and_piece_0_is_held(self):
        pieces = Pieces(2, 512, 16, 20000)
        settings = Settings(self.host.sockets[0], pool="sgl-{0}-{1}".format(os.getpid(), next(self._numbers)), start_timeout=60.0)
        memory = PieceMemory(settings, pieces, self.host.gpus[0])
        self.addCleanup(memory.close)
        self.assertEqual((1, 0), (memory.pool.stats().used_blocks, memory.elastic.in_use))
        places = []
        for layer, buffer in itertools.product(range(2), range(2)):
            told = memory.exporter(layer, buffer, "float32", (20000, 2, 64), 0)._description.tensor
            places.append(told.data)
        span = pieces.count * pieces.piece_bytes
        self.assertTrue(all(abs(one - other) >= span for one, other in itertools.combinations(places, 2)))
        with self.assertRaises(IntegrationError):
            memory.exporter(0, 0, "float32", (pieces.count * pieces.tokens_per_piece + 1, 2, 64), 0)


if __name__ == "__main__":
    unittest.main()
