"""What the transformers integration decides without memory or engine: settings, layout, signatures, hooks."""

import types
import unittest

from kvcached_client.integrations import transformers as kvcached
from kvcached_client.integrations.transformers import signatures
from kvcached_client.integrations.errors import IntegrationError
from kvcached_client.integrations.transformers.hooks import hook_processor
from kvcached_client.integrations.transformers.layout import CacheShape, blocks_per_stride, flat_rows
from kvcached_client.integrations.transformers.manager import make_elastic
from kvcached_client.integrations.transformers.settings import Settings, from_environment
from kvcached_client.integrations.transformers.signatures import Recorded
from kvcached_client.integrations.steps import StepClock
from tests.seam import BlockManager


class SettingsTests(unittest.TestCase):
    def test_nothing_happens_unless_it_is_switched_on(self):
        self.assertIsNone(from_environment({"KVCACHED_TRANSFORMERS_SOCKET": "/s"}))
        self.assertIsNone(from_environment({"KVCACHED_TRANSFORMERS": "0", "KVCACHED_TRANSFORMERS_NONSENSE": "1"}))
        self.assertFalse(kvcached.is_enabled())

    def test_variables_become_settings(self):
        read = from_environment({
            "KVCACHED_TRANSFORMERS": "on", "KVCACHED_TRANSFORMERS_SOCKET": "/s", "KVCACHED_TRANSFORMERS_POOL": "p", "KVCACHED_TRANSFORMERS_WEIGHT": "3",
            "KVCACHED_TRANSFORMERS_GROW_TIMEOUT": "0.5",
        })  # fmt: skip
        self.assertEqual(Settings("/s", pool="p", weight=3, grow_timeout=0.5), read)

    def test_bad_variables_are_named(self):
        on = {"KVCACHED_TRANSFORMERS": "1", "KVCACHED_TRANSFORMERS_SOCKET": "/s"}
        for more, text in (
            ({"KVCACHED_TRANSFORMERS_WEIHGT": "1"}, "KVCACHED_TRANSFORMERS_WEIHGT is set"),
            ({"KVCACHED_TRANSFORMERS_WEIGHT": "much"}, "'much'; it must be a number"),
            ({"KVCACHED_TRANSFORMERS_WEIGHT": "0"}, "weight must be at least 1"),
            ({"KVCACHED_TRANSFORMERS_SOCKET": ""}, "SOCKET isn't set"),
        ):
            with self.assertRaisesRegex(ValueError, text):
                from_environment(dict(on, **more))


class LayoutTests(unittest.TestCase):
    def test_pages_hold_whole_blocks_only(self):
        self.assertEqual(2 << 20, CacheShape(8, 256, 8, 128, 4).page_bytes())  # 1 MiB
        self.assertEqual(2 << 20, CacheShape(8, 16, 8, 128, 2).page_bytes())  # 32 KiB
        self.assertEqual(4 << 20, CacheShape(8, 512, 8, 256, 4).page_bytes())  # 4 MiB
        self.assertEqual(6 << 20, CacheShape(8, 256, 3, 128, 2).page_bytes())  # 192 KiB
        with self.assertRaisesRegex(ValueError, "block_size"):
            CacheShape(8, 257, 8, 128, 4).page_bytes()

    def test_virtual_room_is_for_all_blocks_and_the_padding(self):
        group = CacheShape(8, 256, 8, 128, 4).group(1000)
        self.assertEqual((501, 8, 2, 1 << 20), (group.virtual_pages, group.layers, group.buffers, group.block_bytes))
        self.assertEqual(502, CacheShape(8, 256, 8, 128, 4).group(1001).virtual_pages)

    def test_strides_are_counted_in_blocks(self):
        self.assertEqual((16, 1), (blocks_per_stride(16 << 20, 1 << 20), blocks_per_stride(1 << 20, 1 << 20)))
        self.assertEqual((9 * 16 + 1) * 256, flat_rows(10, 16, 256))
        for stride in (1 << 19, (1 << 20) + 1, 0):
            with self.assertRaises(ValueError):
                blocks_per_stride(stride, 1 << 20)


class SignatureTests(unittest.TestCase):
    known = {"9.1": (Recorded("cache:Cache.allocate", ("self", "count")), Recorded("cache:make", ("*", "size")))}

    @staticmethod
    def module(allocate, make):
        holder = types.SimpleNamespace(Cache=type("Cache", (), {"allocate": allocate}), make=make)
        return lambda name: holder

    def test_what_is_as_recorded_passes(self):
        signatures.require("9.1.3", self.module(lambda self, count: 0, lambda size, more=1: 0), self.known)

    def test_every_difference_is_named_and_what_to_do(self):
        with self.assertRaises(IntegrationError) as raised:
            signatures.require("9.1.3", self.module(lambda self, count, flag: 0, lambda more: 0), self.known)
        text = str(raised.exception)
        for part in ("cache:Cache.allocate has the parameters (self, count, flag) instead of (self, count)", "cache:make has no parameter size", "Install transformers 9.1"):
            self.assertIn(part, text)

    def test_what_is_missing_and_an_unknown_release_stop_it(self):
        found = signatures.differences("9.1.0", lambda name: types.SimpleNamespace(), self.known)
        self.assertEqual(2, len(found))
        self.assertIn("isn't there", found[0])
        (found,) = signatures.differences("9.2.0", self.module(None, None), self.known)
        self.assertIn("9.2.0 is not among the releases that were recorded (9.1)", found)

    def test_a_manager_that_is_built_otherwise_is_left_alone(self):
        manager = BlockManager(4, 16)
        del manager._init_block_ids
        with self.assertRaisesRegex(IntegrationError, "_init_block_ids"):
            make_elastic(manager, None)
        self.assertIs(BlockManager, manager.__class__)

    def test_enabling_without_the_engine_says_so_and_changes_nothing(self):
        try:
            import transformers  # noqa: F401
        except ImportError:
            with self.assertRaisesRegex(IntegrationError, "must be installed"):
                kvcached.enable(Settings("/s"))
        self.assertFalse(kvcached.is_enabled())


class Seen:
    """Records calls in order."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name,) + arguments)


class HookTests(unittest.TestCase):
    def setUp(self):
        self.elastic, self.arena, self.manager, self.clock = types.SimpleNamespace(has_missed=False), Seen(), Seen(), StepClock()
        self.answer, self.is_prepared, self.failure = None, True, None
        self.scheduler = types.SimpleNamespace(active_requests={}, schedule_batch=lambda tokens, cache: self.answer)
        memory = types.SimpleNamespace(elastic=self.elastic, clock=self.clock, arena=self.arena)
        self.processor = types.SimpleNamespace(
            cache=types.SimpleNamespace(memory=memory, _block_manager=self.manager), scheduler=self.scheduler,
            prepare_next_batch=lambda: self.is_prepared, _generation_step=self.generate, inputs_and_outputs=types.SimpleNamespace(compute_stream="stream"),
        )  # fmt: skip
        hook_processor(self.processor)

    def generate(self, model):
        if self.failure:
            raise self.failure
        return model

    def test_an_exhausted_pool_is_no_reason_to_give_up(self):
        self.elastic.has_missed = True
        self.answer = (None, False, 0, 0)
        self.assertEqual(([], False, 0, 0), self.scheduler.schedule_batch(1, 1))
        self.answer = None
        self.assertEqual([], self.scheduler.schedule_batch(1, 1))

    def test_the_engine_sets_a_request_back_while_it_has_several(self):
        self.elastic.has_missed, self.scheduler.active_requests = True, {"a": 1, "b": 2}
        self.answer = (None, False, 0, 0)
        self.assertEqual(self.answer, self.scheduler.schedule_batch(1, 1))

    def test_a_cache_that_is_too_small_for_a_request_stays_the_engines_error(self):
        self.answer = (None, False, 0, 0)
        self.assertEqual(self.answer, self.scheduler.schedule_batch(1, 1))

    def test_steps_are_numbered_as_they_are_prepared_and_done_when_submitted(self):
        self.processor.prepare_next_batch()
        self.assertEqual(1, self.clock.last_step)
        self.assertEqual("model", self.processor._generation_step("model"))
        self.processor.prepare_next_batch()
        self.processor._generation_step("model")
        self.assertEqual([("step_done", 1, "stream"), ("step_done", 2, "stream")], self.arena.calls)
        self.assertEqual([("begin_pass",), ("begin_pass",)], self.manager.calls)

    def test_a_step_that_fails_holds_no_memory_back(self):
        self.processor.prepare_next_batch()
        self.failure = RuntimeError("kernel")
        with self.assertRaises(RuntimeError):
            self.processor._generation_step("model")
        self.assertEqual([("step_done", 1, "stream")], self.arena.calls)

    def test_a_pass_without_a_batch_is_no_step(self):
        self.is_prepared = False
        self.processor.prepare_next_batch()
        self.assertEqual(0, self.clock.prepared)

    def test_hooking_twice_changes_nothing(self):
        step = self.processor._generation_step
        hook_processor(self.processor)
        self.assertIs(step, self.processor._generation_step)
