"""The parts of the vLLM plugin that need no vLLM. Its scheduling is tried over vLLM's own sources by tests/engines/vllm_scheduling.py."""

import importlib
import itertools
import os
import sys
import tempfile
import types
import unittest
from types import SimpleNamespace

import kvcached_client as kvc
from kvcached_client.integrations import on_import
from kvcached_client.integrations import vllm as plugin
from kvcached_client.integrations.elastic_blocks import ElasticBlocks
from kvcached_client.integrations.errors import IntegrationError
from kvcached_client.integrations.steps import StepClock
from kvcached_client.integrations.vllm import engine_core, packing, scheduling, worker
from kvcached_client.integrations.vllm.settings import Settings, from_environment
from tests.host import HostTestCase

MIB = 1 << 20


def make_config(blocks, sizes, has_mamba=False):
    """A ``KVCacheConfig`` with a tensor of ``blocks`` blocks for each size."""
    tensors = [SimpleNamespace(size=blocks * size, shared_by=["layer.{0}".format(i)], offset=0, block_stride=0) for i, size in enumerate(sizes)]
    groups = [SimpleNamespace(kv_cache_spec=SimpleNamespace(block_size=16))]
    return SimpleNamespace(num_blocks=blocks, kv_cache_tensors=tensors, kv_cache_groups=groups, has_mamba_layers=has_mamba)


class PackingTests(unittest.TestCase):
    def test_a_page_holds_whole_blocks_and_nothing_else(self):
        for block_bytes in (1, 256, 4096, 458752, 2 * MIB, 61 * 16 * 1152, 70272 * 16, 3 * MIB, 5 * MIB + 512, 33 * MIB):
            shape = packing.shape_of(block_bytes)
            self.assertGreaterEqual(shape.stride_bytes, block_bytes)
            self.assertEqual((0, 0, 0), (shape.page_bytes % (2 * MIB), shape.page_bytes % shape.stride_bytes, shape.stride_bytes % 256))
            self.assertLessEqual(shape.page_bytes, max(32 * MIB, 2 * block_bytes + 2 * MIB))
            if block_bytes >= 4096:
                self.assertLess(shape.stride_bytes, block_bytes * 1.34)

    def test_blocks_that_divide_a_page_are_not_filled_up(self):
        self.assertEqual(packing.BlockShape(458752, 14 * MIB), packing.shape_of(458752))
        self.assertEqual(packing.BlockShape(2 * MIB, 2 * MIB), packing.shape_of(2 * MIB))

    def test_layers_get_their_places_in_a_block(self):
        config = make_config(10, [4096, 8192, 4096])
        shape = packing.pack(config)
        self.assertEqual([(0, 16384, 163840), (4096, 16384, 163840), (12288, 16384, 163840)], [(t.offset, t.block_stride, t.size) for t in config.kv_cache_tensors])
        self.assertEqual((2 * MIB, 1, 128), (shape.page_bytes, shape.group(10, 16).virtual_pages, 2 * MIB // shape.stride_bytes))

    def test_what_the_packed_layout_does_not_serve_is_refused_and_left_alone(self):
        for config in (make_config(10, [4096], has_mamba=True), make_config(10, []), make_config(1, [4096])):
            with self.assertRaises(IntegrationError):
                packing.pack(config)
        config = make_config(10, [4096, 4096])
        config.kv_cache_tensors[1].size += 1
        with self.assertRaises(IntegrationError):
            packing.pack(config)
        self.assertEqual([0, 0], [t.block_stride for t in config.kv_cache_tensors])


class SwitchTests(unittest.TestCase):
    def test_without_its_variable_nothing_is_read_or_loaded(self):
        self.assertIsNone(from_environment({"KVCACHED_VLLM_NONSENSE": "1"}))
        before = list(sys.meta_path)
        plugin.register()
        self.assertEqual(before, sys.meta_path)

    def test_variables_are_read_and_unknown_ones_refused(self):
        settings = from_environment({"KVCACHED_VLLM": "1", "KVCACHED_VLLM_SOCKET": "/run/{device}.sock", "KVCACHED_VLLM_POOL": "mine", "KVCACHED_VLLM_WEIGHT": "3"})
        self.assertEqual(("/run/GPU-1.sock", "mine", "mine-dp2", 3), (settings.socket_of("GPU-1"), settings.pool_name(), settings.pool_name(2), settings.weight))
        for wrong in ({}, {"KVCACHED_VLLM_SOCKET": "/s", "KVCACHED_VLLM_WIEGHT": "3"}, {"KVCACHED_VLLM_SOCKET": "/s", "KVCACHED_VLLM_WEIGHT": "much"}):
            with self.assertRaises(ValueError):
                from_environment(dict(wrong, KVCACHED_VLLM="on"))

    def test_what_is_not_served_is_refused_before_anything_is_opened(self):
        owner = engine_core.PoolOwner(Settings("/s"))
        plain = dict(speculative_config=None, kv_transfer_config=None, model_config=SimpleNamespace(enable_sleep_mode=False))
        owner.require_served(SimpleNamespace(**plain))
        for change in ({"speculative_config": 1}, {"kv_transfer_config": 1}, {"model_config": SimpleNamespace(enable_sleep_mode=True)}):
            with self.assertRaises(IntegrationError):
                owner.require_served(SimpleNamespace(**dict(plain, **change)))

    def test_a_module_is_changed_once_it_was_imported(self):
        with tempfile.TemporaryDirectory() as folder:
            name = "kvcached_imported_{0}".format(os.getpid())
            with open(os.path.join(folder, name + ".py"), "w") as file:
                file.write("answer = 1\n")
            sys.path.insert(0, folder)
            try:
                changed = []
                on_import.when_imported(name, changed.append)
                self.assertEqual([], changed)
                module = importlib.import_module(name)
                self.assertEqual([module], changed)
                on_import.when_imported(name, changed.append)
                self.assertEqual([module, module], changed)
            finally:
                sys.path.remove(folder)
                sys.modules.pop(name, None)


class WorkerTests(unittest.TestCase):
    def test_sizes_come_from_the_total_and_not_from_what_is_free(self):
        class Worker:
            def __init__(self, asked):
                self.cache_config = SimpleNamespace(kv_cache_memory_bytes=asked, gpu_memory_utilization=0.9)

            def init_device(self):
                self.init_snapshot = SimpleNamespace(total_memory=80, free_memory=2)
                self.requested_memory = module.request_memory(self.init_snapshot, self.cache_config)

            def execute_model(self, scheduler_output):
                return "answer"

        module = types.SimpleNamespace(Worker=Worker, request_memory=None)
        worker.change_worker(module, worker.WorkerMemory(Settings("/s")))
        for asked, expected in ((None, 80), (20, 20)):
            made = Worker(asked)
            made.init_device()
            self.assertEqual((72, expected), (made.requested_memory, made.cache_config.kv_cache_memory_bytes))

    def test_the_profiling_cache_is_the_engines_own(self):
        class GPUModelRunner:
            def _allocate_kv_cache_tensors(self, kv_cache_config):
                return "own"

        module = types.SimpleNamespace(
            GPUModelRunner=GPUModelRunner,
            _allocate_kv_cache=lambda config, shared, device: "own",
            _reshape_attention_kv_cache=lambda raw, spec, shape, order, blocks, packing: SimpleNamespace(shape=raw),
        )
        memory = worker.WorkerMemory(Settings("/s"))
        worker.change_runner(module, memory)
        worker.change_second_runner(module, memory)
        self.assertEqual((4, 2), module._reshape_attention_kv_cache((4, 2), None, (4, 2), None, 4, None).shape)
        with self.assertRaises(IntegrationError):
            module._reshape_attention_kv_cache((2, 4), None, (4, 2), None, 4, None)
        config = make_config(4, [4096])
        self.assertEqual(("own", "own"), (GPUModelRunner()._allocate_kv_cache_tensors(config), module._allocate_kv_cache(config, {}, None)))


class EngineCoreTests(HostTestCase):
    """The engine core's part over a real pool of two ranks on main memory."""

    _numbers = itertools.count(1)

    def core(self, devices):
        """An engine core whose executor allocates as the workers do; gives it with its owner and the workers' arenas."""
        case, name = self, "vllm-{0}-{1}".format(os.getpid(), next(self._numbers))
        arenas = []

        class EngineCore:
            model_executor = SimpleNamespace(collective_rpc=lambda method: devices)

            def _initialize_kv_caches(self, vllm_config):
                configs = module.get_kv_cache_configs(vllm_config, [{"layer.0": 1}] * len(devices), [1 << 30] * len(devices))
                for rank, config in enumerate(configs):
                    place = config.kvcached
                    arenas.append(kvc.Arena(case.host.sockets[rank], place.pool, place.rank, case.host.gpus[rank]))
                return configs[0]

            def shutdown(self):
                self.is_over = True

        module = types.SimpleNamespace(EngineCore=EngineCore, get_kv_cache_configs=lambda vllm_config, specs, memory: [make_config(100, [65536, 65536]) for _ in specs])
        owner = engine_core.PoolOwner(Settings(self.host.sockets[0].replace(self.host.gpus[0], "{device}"), pool=name, start_timeout=60.0))
        engine_core.change_engine_core(module, owner)
        core = EngineCore()
        self.addCleanup(lambda: [arena.close() for arena in arenas])
        self.addCleanup(core.shutdown)
        return core, owner, arenas

    @staticmethod
    def vllm_config():
        return SimpleNamespace(
            speculative_config=None, kv_transfer_config=None, model_config=SimpleNamespace(enable_sleep_mode=False), parallel_config=SimpleNamespace(data_parallel_rank=0)
        )

    def test_the_pool_is_open_before_workers_allocate_and_its_first_block_is_mapped(self):
        core, owner, arenas = self.core(self.host.gpus)
        core._initialize_kv_caches(self.vllm_config())
        self.assertEqual(1, owner.memory.pool.stats().used_blocks)
        self.assertEqual([1, 1], [arena.stats().pages for arena in arenas])
        self.assertEqual((0, 0), (owner.memory.elastic.in_use, owner.memory.elastic.capacity))
        pool = owner.memory.pool
        core.shutdown()
        self.assertTrue(core.is_over and pool.is_closed and owner.memory is None)

    def test_workers_of_several_gpus_need_a_socket_for_each(self):
        core, owner, _ = self.core(self.host.gpus)
        owner.settings = Settings("/one.sock")
        with self.assertRaises(IntegrationError) as caught:
            core._initialize_kv_caches(self.vllm_config())
        self.assertIn("{device}", str(caught.exception))
        self.assertIsNone(owner.memory)


class BlockZeroTests(unittest.TestCase):
    class Pool:
        """Hands out blocks in a given order."""

        def __init__(self, order):
            self.left, self.freed = list(order), []

        def alloc_or_grow(self, group, count, *, timeout):
            taken, self.left = self.left[:count], self.left[count:]
            return taken

        def free(self, group, blocks, last_step):
            self.freed += blocks

    def test_block_0_is_taken_whenever_it_comes_and_the_others_go_back(self):
        for order, most, expected in (([0], 1, (True, [])), ([17, 16, 0], 3, (True, [17, 16])), ([17, 16, 0], 2, (False, [17, 16]))):
            pool = self.Pool(order)
            elastic = ElasticBlocks(pool, 1, 100, StepClock(), 0.1)
            self.assertEqual(expected, (elastic.take_block_0(most, 1.0), pool.freed))
            self.assertEqual((0, 0), (elastic.in_use, elastic.out))


class SchedulerTests(unittest.TestCase):
    def test_only_steps_with_tokens_are_numbered(self):
        counts = iter((3, 0, 5))

        class Scheduler:
            def schedule(self):
                return SimpleNamespace(total_num_scheduled_tokens=next(counts))

        owner = SimpleNamespace(memory=SimpleNamespace(clock=StepClock(), elastic=SimpleNamespace(has_missed=False)))
        scheduling.change_scheduler(types.SimpleNamespace(Scheduler=Scheduler), owner)
        outputs = [Scheduler().schedule() for _ in range(3)]
        self.assertEqual([1, 0, 2], [getattr(output, scheduling.STEP, 0) for output in outputs])


if __name__ == "__main__":
    unittest.main()
