"""A transformers 5.17 and a PyTorch that have only what the integration meets at start-up and around steps, to be put in ``sys.modules`` by tests.

The engine makes a cache, a batch processor over it, and steps; the "tensors" know their shape and address.
"""

import sys
import types
from contextlib import contextmanager

from tests.seam import BlockManager

PACKAGE = "transformers.generation.continuous_batching"


class FakeTensor:
    def __init__(self, shape, address=0):
        self.shape, self.address = tuple(shape), address

    def element_size(self):
        return 4


def _torch():
    torch = types.ModuleType("torch")
    torch.device = lambda device: types.SimpleNamespace(type=str(device), index=None)
    torch.empty = lambda shape, **named: FakeTensor(shape)
    torch.cuda = types.SimpleNamespace(is_available=lambda: False, synchronize=None)
    torch._dynamo = types.SimpleNamespace(mark_static_address=lambda tensor: None)

    def from_dlpack(exporter):
        told = exporter._description.tensor
        return FakeTensor(told.shape[: told.dimension_count], told.data)

    torch.utils = types.SimpleNamespace(dlpack=types.SimpleNamespace(from_dlpack=from_dlpack))
    return torch


class Allocator:
    """Blocks of requests in one layer group."""

    def __init__(self):
        self.block_table, self.sentinel_index, self.write_trash_index = {}, -1, -1

    def allocate_blocks(self, n_blocks, request_id, block_manager):
        taken = block_manager.get_free_blocks(n_blocks, None, True, 0)
        if taken is None:
            return None
        self.block_table.setdefault(request_id, []).extend(taken)
        return n_blocks


class PagedAttentionCache:
    def __init__(self, config, continuous_batching_config, device, distributed_helper, tp_plan, dtype="float32"):
        self.config, self.device, self.dtype, self.block_size = config, device, dtype, continuous_batching_config.block_size
        self.num_key_value_heads, self.head_dim, self.num_groups = 2, 512, 1
        self.num_blocks, self.max_batch_tokens = continuous_batching_config.num_blocks, continuous_batching_config.max_batch_tokens
        self.num_pages = self.num_blocks * self.block_size
        self.cache_shape = ((self.num_blocks + 2) * self.block_size, 2, 512)
        self.key_cache, self.value_cache = [FakeTensor(self.cache_shape) for _ in range(3)], [FakeTensor(self.cache_shape) for _ in range(3)]
        self.read_trash_index, self.sentinel_index, self.write_trash_index = self.num_pages, self.num_pages + 1, self.num_pages + self.block_size
        self.num_full_attention_groups, self.num_sliding_attention_groups, self.max_sliding_window_blocks_per_request = 1, 0, 0
        self.group_cache_managers, self.use_prefix_sharing = [Allocator()], True
        self._block_manager = BlockManager(self.num_blocks, self.block_size)

    def will_allocation_be_successful(self, num_requested_blocks, allocated_blocks):
        return num_requested_blocks <= self.get_num_free_blocks()

    def allocate_blocks(self, n_blocks, request_id, allocated_blocks):
        if not self.will_allocation_be_successful(n_blocks, allocated_blocks):
            return None
        return self.group_cache_managers[0].allocate_blocks(n_blocks, request_id, self._block_manager)

    def free_blocks(self, request_id):
        self._block_manager.free_blocks(self.group_cache_managers[0].block_table.pop(request_id), True)

    def get_num_free_blocks(self):
        return self._block_manager.num_free_blocks

    def free_all_requests(self):
        pass


class FIFOScheduler:
    """Wants ``wanted`` more blocks for each of its requests."""

    def __init__(self, cache):
        self.cache, self.active_requests, self.wanted = cache, {}, 0

    def schedule_batch(self, token_budget, cache_budget):
        got = [name for name in list(self.active_requests) if self.cache.allocate_blocks(self.wanted, name, 0) is not None]
        return (got or None, False, 0, 0)


class ContinuousBatchProcessor:
    def __init__(self, cache, scheduler):
        self.cache, self.scheduler, self.inputs_and_outputs = cache, scheduler, types.SimpleNamespace(compute_stream=None)

    def prepare_next_batch(self):
        got = self.scheduler.schedule_batch(1, 1)[0]
        if got is None:
            raise RuntimeError("No requests can be scheduled and no request can be offloaded.")
        return bool(got)

    def _generation_step(self, model):
        return model


class ContinuousBatchingManager:
    def __init__(self, config):
        self.config, self.batch_processor = config, None

    def _create_batch_processor(self):
        made = sys.modules[PACKAGE + ".continuous_api"].PagedAttentionCache(
            config=types.SimpleNamespace(_attn_implementation="paged|sdpa"), continuous_batching_config=self.config, device="cpu",
            distributed_helper=types.SimpleNamespace(tp_size=self.config.tp_size), tp_plan={}, dtype="float32",
        )  # fmt: skip
        self.batch_processor = ContinuousBatchProcessor(made, FIFOScheduler(made))
        return self.batch_processor

    def is_running(self):
        return False

    def stop(self, block=True, timeout=None, keep_for_next_session=False, hard_stop=False):
        if not keep_for_next_session:
            self.batch_processor = None


def make_config(num_blocks=None, max_batch_tokens=None, tp_size=1):
    return types.SimpleNamespace(block_size=16, num_blocks=num_blocks, max_batch_tokens=max_batch_tokens, tp_size=tp_size)


@contextmanager
def installed(version="5.17.0"):
    """Has them installed for a while; gives the module ``continuous_api``."""
    contents = {
        "cache": {"PagedAttentionCache": PagedAttentionCache},
        "cache_manager": {"BlockManager": BlockManager},
        "scheduler": {"FIFOScheduler": FIFOScheduler},
        "continuous_api": {
            "PagedAttentionCache": PagedAttentionCache, "ContinuousBatchProcessor": ContinuousBatchProcessor,
            "ContinuousBatchingManager": type("ContinuousBatchingManager", (ContinuousBatchingManager,), dict(vars(ContinuousBatchingManager))),
        },
    }  # fmt: skip
    added = {"torch": _torch(), "transformers": types.ModuleType("transformers"), "transformers.generation": types.ModuleType("transformers.generation")}
    added["transformers"].__version__ = version
    added[PACKAGE] = types.ModuleType(PACKAGE)
    for name, content in contents.items():
        added[PACKAGE + "." + name] = module = types.ModuleType(PACKAGE + "." + name)
        vars(module).update(content)
    before = {name: sys.modules.get(name) for name in added}
    sys.modules.update(added)
    try:
        yield added[PACKAGE + ".continuous_api"]
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
