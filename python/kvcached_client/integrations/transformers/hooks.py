"""What happens around an engine's steps: passes, steps and their fences, and an exhausted pool that is a miss. Knows the engine by duck typing."""

from __future__ import annotations

import functools
from typing import Any

MARK = "_kvcached_hooked"


def nothing_scheduled(answer: Any) -> Any:
    """An answer of ``schedule_batch`` that says there is nothing to do, in place of one that says the cache is full."""
    return ([],) + tuple(answer[1:]) if isinstance(answer, tuple) else []


def says_full(answer: Any) -> bool:
    """Whether an answer of ``schedule_batch`` says that nothing could be scheduled because the cache is full."""
    return answer is None or (isinstance(answer, tuple) and bool(answer) and answer[0] is None)


def hook_processor(processor: Any) -> None:
    """Has a batch processor over an elastic cache tell the cache of its passes and steps. Done once per processor."""
    if getattr(processor, MARK, False):
        return
    cache, scheduler = processor.cache, processor.scheduler
    elastic, clock, arena = cache.memory.elastic, cache.memory.clock, cache.memory.arena
    manager = cache._block_manager
    schedule, prepare, generate = scheduler.schedule_batch, processor.prepare_next_batch, processor._generation_step

    @functools.wraps(schedule)
    def schedule_batch(*arguments: Any, **named: Any) -> Any:
        answer = schedule(*arguments, **named)
        # With two requests or more the engine sets one back. With fewer it would give up, though the memory is only with a neighbour for now.
        if says_full(answer) and elastic.has_missed and len(scheduler.active_requests) <= 1:
            return nothing_scheduled(answer)
        return answer

    @functools.wraps(prepare)
    def prepare_next_batch(*arguments: Any, **named: Any) -> Any:
        manager.begin_pass()
        is_prepared = prepare(*arguments, **named)
        if is_prepared:
            clock.prepare()
        return is_prepared

    @functools.wraps(generate)
    def generation_step(*arguments: Any, **named: Any) -> Any:
        try:
            return generate(*arguments, **named)
        finally:
            stream = getattr(processor.inputs_and_outputs, "compute_stream", None)
            arena.step_done(clock.prepared, stream)

    scheduler.schedule_batch = schedule_batch
    processor.prepare_next_batch = prepare_next_batch
    processor._generation_step = generation_step
    setattr(processor, MARK, True)
