"""vLLM's scheduler over an elastic block pool: passes, reservations, steps. Knows vLLM by duck typing."""

from __future__ import annotations

import functools
import time
from types import ModuleType
from typing import Any

from .block_pool import elastic_pool_class

#: Attribute of a ``SchedulerOutput``: the step that workers report once they have submitted it.
STEP = "kvcached_step"
# The engine core calls again at once when nothing could be scheduled; memory doesn't come faster for that.
_PAUSE_SECONDS = 0.002


def change_coordinator(module: ModuleType, owner: Any) -> None:
    """``vllm.v1.core.kv_cache_coordinator``: makes elastic block pools where a pool is open, and has it grow by what is being allocated."""
    base: Any = module.BlockPool  # type: ignore[attr-defined]
    elastic_class = elastic_pool_class(base)
    coordinator: Any = module.KVCacheCoordinator  # type: ignore[attr-defined]
    count_blocks = coordinator.get_num_blocks_to_allocate

    def make_block_pool(*arguments: Any, **named: Any) -> Any:
        if owner.memory is None:
            return base(*arguments, **named)
        return elastic_class(owner.memory.elastic, *arguments, **named)

    @functools.wraps(count_blocks)
    def get_num_blocks_to_allocate(self: Any, *arguments: Any, **named: Any) -> int:
        count = count_blocks(self, *arguments, **named)
        if getattr(self.block_pool, "is_allocating", False):
            # Admission asks about the whole request, which is not wanted at once.
            self.block_pool.count(count, named.get("new_computed_blocks", ()), is_wanted=not named.get("apply_admission_cap"))
        return count

    module.BlockPool = make_block_pool  # type: ignore[attr-defined]
    coordinator.get_num_blocks_to_allocate = get_num_blocks_to_allocate


def change_manager(module: ModuleType) -> None:
    """``vllm.v1.core.kv_cache_manager``: tells an elastic block pool of passes and allocations."""
    manager: Any = module.KVCacheManager  # type: ignore[attr-defined]
    begin, allocate = manager.new_step_starts, manager.allocate_slots

    @functools.wraps(begin)
    def new_step_starts(self: Any) -> None:
        if hasattr(self.block_pool, "begin_pass"):
            self.block_pool.begin_pass()
        begin(self)

    @functools.wraps(allocate)
    def allocate_slots(self: Any, *arguments: Any, **named: Any) -> Any:
        if not hasattr(self.block_pool, "is_allocating"):
            return allocate(self, *arguments, **named)
        self.block_pool.is_allocating = True
        try:
            return allocate(self, *arguments, **named)
        finally:
            self.block_pool.is_allocating = False

    manager.new_step_starts = new_step_starts
    manager.allocate_slots = allocate_slots


def change_scheduler(module: ModuleType, owner: Any) -> None:
    """``vllm.v1.core.sched.scheduler``: numbers the steps that are sent to workers."""
    scheduler: Any = module.Scheduler  # type: ignore[attr-defined]
    inner = scheduler.schedule

    @functools.wraps(inner)
    def schedule(self: Any, *arguments: Any, **named: Any) -> Any:
        output = inner(self, *arguments, **named)
        if owner.memory is not None:
            if output.total_num_scheduled_tokens > 0:
                setattr(output, STEP, owner.memory.clock.prepare())
            elif owner.memory.elastic.has_missed:
                time.sleep(_PAUSE_SECONDS)
        return output

    scheduler.schedule = schedule
