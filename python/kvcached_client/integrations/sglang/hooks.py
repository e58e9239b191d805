"""Which modules of SGLang are changed, and by what. Knows them by duck typing."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from ..errors import IntegrationError
from ..on_import import when_imported
from .allocator import elastic_allocator_class
from .buffers import elastic_owner_class
from .settings import Settings

_GIB = 1 << 30
# What a request is admitted with beyond its prompt, at most: SGLang's own default of CLIP_MAX_NEW_TOKENS.
_MOST_NEW_TOKENS = 4096


def install(settings: Settings) -> None:
    """Has SGLang's modules changed as they are imported."""
    when_imported("sglang.srt.mem_cache.memory_pool", lambda module: _set(module, "KvVmmBufferOwner", elastic_owner_class(settings)))
    when_imported("sglang.srt.mem_cache.kv_cache_configurator", change_configurator)
    when_imported("sglang.srt.model_executor.model_runner_components.kv_pool_runtime", change_sizing)
    when_imported("sglang.srt.mem_cache.radix_cache", change_tree)
    when_imported("sglang.srt.managers.schedule_policy", change_admission)
    when_imported("sglang.srt.managers.scheduler", change_scheduler)
    when_imported("sglang.srt.managers.scheduler_components.pool_stats_observer", change_counts)


def _set(there: Any, name: str, value: Any) -> None:
    setattr(there, name, value)


def _elastic(allocator: Any) -> Any:
    """The allocator, if it is an elastic one over a pool; else None."""
    return allocator if getattr(allocator, "memory", None) is not None else None


def total_but_own(device: Any, gpu_id: int, *arguments: Any, **named: Any) -> float:
    """GiB of a GPU without what this process's PyTorch holds: what others hold now may be lent to this engine later."""
    import torch

    return (torch.cuda.get_device_properties(gpu_id).total_memory - torch.cuda.memory_reserved(gpu_id)) / _GIB


def change_configurator(module: ModuleType) -> None:
    """``mem_cache.kv_cache_configurator``: sizes from the total, and elastic allocators."""
    for name in ("TokenToKVPoolAllocator", "PagedTokenToKVPoolAllocator"):
        _set(module, name, elastic_allocator_class(getattr(module, name)))
    _set(module, "get_available_gpu_memory", total_but_own)


def change_sizing(module: ModuleType) -> None:
    """``model_runner_components.kv_pool_runtime``: the final size comes from the total, too."""
    _set(module, "get_available_gpu_memory", total_but_own)


def change_tree(module: ModuleType) -> None:
    """``mem_cache.radix_cache``: before the tree evicts for want of room, memory is asked for."""
    tree: Any = module.RadixCache  # type: ignore[attr-defined]
    inner = tree.evict
    nothing: Any = module.EvictResult  # type: ignore[attr-defined]

    @functools.wraps(inner)
    def evict(self: Any, params: Any) -> Any:
        allocator = _elastic(self.token_to_kv_pool_allocator)
        if allocator is not None and allocator.want(allocator.available_size() + params.num_tokens):
            return nothing()
        return inner(self, params)

    tree.evict = evict
    tree.evict_for_others = inner


def change_admission(module: ModuleType) -> None:
    """``managers.schedule_policy``: asks for what a request needs before it is weighed."""
    adder: Any = module.PrefillAdder  # type: ignore[attr-defined]
    inner = adder.add_one_req

    @functools.wraps(inner)
    def add_one_req(self: Any, req: Any, *arguments: Any, **named: Any) -> Any:
        allocator = _elastic(self.token_to_kv_pool_allocator)
        if allocator is not None:
            new_tokens = min(max(req.sampling_params.max_new_tokens - len(req.output_ids), 0), _MOST_NEW_TOKENS)
            prompt = len(req.full_untruncated_fill_ids) - len(req.prefix_indices)
            allocator.want(prompt + new_tokens + self.page_size + max(0, int(self.rem_total_token_offset)))
        return inner(self, req, *arguments, **named)

    adder.add_one_req = add_one_req


def change_scheduler(module: ModuleType) -> None:
    """``managers.scheduler``: gives way before each batch, and refuses what isn't served."""
    scheduler: Any = module.Scheduler  # type: ignore[attr-defined]
    prepare, plan = scheduler.init_memory_pools, scheduler.get_next_batch_to_run

    @functools.wraps(prepare)
    def init_memory_pools(self: Any) -> Any:
        require_served(self.server_args)
        made = prepare(self)
        if _elastic(self.tp_worker.model_runner.token_to_kv_pool_allocator) is None:
            raise IntegrationError(
                "this model's KV cache isn't one that SGLang can back later (sliding windows, MLA, Mamba, FP4 or a draft model, for example); leave kvcached off for it."
            )
        return made

    @functools.wraps(plan)
    def get_next_batch_to_run(self: Any, running_batch: Any, last_batch: Any) -> Any:
        allocator = _elastic(self.token_to_kv_pool_allocator)
        if allocator is not None:
            is_idle = last_batch is None and running_batch.is_empty()
            allocator.settle(self.tree_cache, _evict_for_others, is_idle)
        return plan(self, running_batch, last_batch)

    scheduler.init_memory_pools = init_memory_pools
    scheduler.get_next_batch_to_run = get_next_batch_to_run


def _evict_for_others(tree_cache: Any, tokens: int) -> None:
    """Has the prefix cache drop so many tokens that nobody uses."""
    from sglang.srt.mem_cache.base_prefix_cache import EvictParams  # type: ignore[import-not-found]

    getattr(tree_cache, "evict_for_others", tree_cache.evict)(EvictParams(num_tokens=tokens))


def require_served(server_args: Any) -> None:
    """:raises IntegrationError: The engine is set up for something that isn't served."""
    asked = []
    if server_args.tp_size > 1 or server_args.pp_size > 1:
        asked.append("more than one GPU for a model: each rank has a scheduler of its own, and would take pieces of its own")
    if server_args.disable_radix_cache:
        asked.append("--disable-radix-cache")
    if server_args.disaggregation_mode != "null":
        asked.append("--disaggregation-mode")
    if server_args.speculative_algorithm is not None:
        asked.append("--speculative-algorithm")
    if getattr(server_args, "enable_hierarchical_cache", False):
        asked.append("--enable-hierarchical-cache")
    if asked:
        raise IntegrationError("{0}: not supported on Kvcached yet; start SGLang without it, or leave kvcached off.".format("; ".join(asked)))


def change_counts(module: ModuleType) -> None:
    """``scheduler_components.pool_stats_observer``: where counts are compared with the whole, pages that aren't mapped are free."""
    observer: Any = module.SchedulerPoolStatsObserver  # type: ignore[attr-defined]
    inner = observer._get_token_info

    @functools.wraps(inner)
    def _get_token_info(self: Any) -> Any:
        allocator = _elastic(self.token_to_kv_pool_allocator)
        if allocator is None:
            return inner(self)
        allocator.counts_all = True
        try:
            return inner(self)
        finally:
            allocator.counts_all = False

    observer._get_token_info = _get_token_info
