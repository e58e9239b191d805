"""Switching an engine over: with a stand-in for transformers and PyTorch, and a real pool on main memory."""

import itertools
import os

from kvcached_client.integrations import transformers as kvcached
from tests import fake_engine
from tests.host import HostTestCase

CONFIG = fake_engine.make_config
PAGE_BYTES = 12 << 20  # three layers, keys and values, 2 MiB each: 32 blocks of 64 KiB


class TransformersEngineTests(HostTestCase):
    _numbers = itertools.count(1)

    def setUp(self):
        context = fake_engine.installed()
        self.api = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        self.addCleanup(kvcached.disable)

    def manager(self, config, **settings):
        name = "hfe-{0}-{1}".format(os.getpid(), next(self._numbers))
        kvcached.enable(kvcached.Settings(self.host.sockets[0], pool=name, **settings))
        manager = self.api.ContinuousBatchingManager(config)
        self.addCleanup(manager.stop)
        return manager, name

    def test_the_engine_sees_all_blocks_and_they_are_mapped_while_they_are_used(self):
        manager, name = self.manager(CONFIG(num_blocks=5000, max_batch_tokens=64))
        cache = manager._create_batch_processor().cache
        self.assertEqual((5000, 5000 * 16, 64), (cache.num_blocks, cache.num_pages, cache.max_batch_tokens))
        self.assertEqual(5000, cache.get_num_free_blocks())
        self.assertEqual(3, len({tensor.address for tensor in cache.key_cache}))
        self.assertEqual(cache.read_trash_index + 1, cache.group_cache_managers[0].sentinel_index)
        self.assertEqual(cache.write_trash_index, cache.group_cache_managers[0].write_trash_index)

        self.assertEqual(100, cache.allocate_blocks(100, "r", 0))
        memory = kvcached.memory_of(manager)
        self.assertGreaterEqual(memory.pool.rank_bytes(0)[0], 4 * PAGE_BYTES)
        blocks = cache.group_cache_managers[0].block_table["r"]
        self.assertTrue(all((block + 1) * 16 <= cache.cache_shape[0] for block in blocks))
        cache.free_blocks("r")
        self.assertEqual((2, 5000), (memory.pool.stats().used_blocks, cache.get_num_free_blocks()))

    def test_an_exhausted_pool_is_a_miss_and_then_goes_on(self):
        manager, _ = self.manager(CONFIG(num_blocks=62), grow_timeout=5.0)
        processor = manager._create_batch_processor()
        kvcached.memory_of(manager).elastic.capacity = 1000  # beyond the virtual room, the library refuses
        self.assertEqual(60, processor.cache.allocate_blocks(60, "other", 0))
        processor.scheduler.active_requests, processor.scheduler.wanted = {"r": 1}, 10
        self.assertFalse(processor.prepare_next_batch())
        memory = kvcached.memory_of(manager)
        self.assertTrue(memory.elastic.has_missed)
        self.assertEqual(0, memory.clock.prepared)
        processor.cache.free_blocks("other")
        self.assertTrue(processor.prepare_next_batch())
        self.assertEqual("model", processor._generation_step("model"))
        self.assertEqual(1, memory.clock.prepared)

    def test_a_request_that_is_too_large_for_the_cache_stays_an_error(self):
        manager, _ = self.manager(CONFIG(num_blocks=8))
        processor = manager._create_batch_processor()
        processor.scheduler.active_requests, processor.scheduler.wanted = {"r": 1}, 9
        with self.assertRaisesRegex(RuntimeError, "No requests can be scheduled"):
            processor.prepare_next_batch()

    def test_stopping_gives_the_memory_back(self):
        manager, name = self.manager(CONFIG(num_blocks=100))
        manager._create_batch_processor().cache.allocate_blocks(50, "r", 0)
        memory = kvcached.memory_of(manager)
        manager.stop(keep_for_next_session=True)
        self.assertFalse(memory.pool.is_closed)
        manager.stop()
        self.assertTrue(memory.pool.is_closed and memory.arena.is_closed and memory.session.is_closed)

    def test_a_batch_size_is_chosen_when_none_is_asked_for(self):
        manager, _ = self.manager(CONFIG(num_blocks=64))
        self.assertEqual(512, manager._create_batch_processor().cache.max_batch_tokens)

    def test_ranks_without_a_group_for_messages_are_refused_before_anything_is_opened(self):
        manager, _ = self.manager(CONFIG(num_blocks=64, tp_size=2))
        with self.assertRaisesRegex(kvcached.IntegrationError, "no group for messages"):
            manager._create_batch_processor()

    def test_an_unknown_release_changes_nothing(self):
        with fake_engine.installed("5.18.0") as api:
            with self.assertRaisesRegex(kvcached.IntegrationError, "5.18.0 is not among"):
                kvcached.enable(kvcached.Settings("/s"))
            self.assertIs(fake_engine.PagedAttentionCache, api.PagedAttentionCache)
        self.assertFalse(kvcached.is_enabled())

    def test_switched_off_again_the_engine_is_as_before(self):
        before = {name: getattr(self.api.ContinuousBatchingManager, name) for name in ("_create_batch_processor", "stop")}
        self.manager(CONFIG(num_blocks=64))
        with self.assertRaisesRegex(kvcached.IntegrationError, "switched on"):
            kvcached.enable(kvcached.Settings("/s"))
        kvcached.disable()
        self.assertIs(fake_engine.PagedAttentionCache, self.api.PagedAttentionCache)
        self.assertEqual(before, {name: getattr(self.api.ContinuousBatchingManager, name) for name in before})

    def test_without_settings_and_variable_nothing_is_touched(self):
        self.assertFalse(kvcached.enable())
        self.assertIs(fake_engine.PagedAttentionCache, self.api.PagedAttentionCache)
