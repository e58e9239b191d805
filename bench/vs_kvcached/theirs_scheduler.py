"""The scheduler process of an engine over kvcached, as vLLM's is: no worker itself, all maps go to its workers' sockets."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Optional, Sequence

from . import sequence, trace
from .theirs import TheirBlocks, TheirPages

_pages: Optional[TheirPages] = None
_blocks: Optional[TheirBlocks] = None


def open_engine(
    ranks: int, layers: int, page_bytes: int, block_bytes: int, manager_pages: int, contiguous: bool, with_manager: bool
) -> None:
    """:param manager_pages: Page ids of its manager; those above are mapped by broadcasts."""
    global _pages, _blocks
    from kvcached.integration.vllm.interfaces import init_kvcached

    init_kvcached(tp_rank=0, world_size=ranks, is_worker=False, device="cuda:0")
    _pages = TheirPages(ranks, layers, page_bytes, contiguous, manager_pages)
    if with_manager:
        from kvcached.kv_cache_manager import KVCacheManager

        manager = KVCacheManager(
            num_blocks=manager_pages * (page_bytes // block_bytes), block_size=16, cell_size=block_bytes // 16, num_layers=layers,
            world_size=ranks, reserve_null_block=True, num_kv_buffers=2,
        )
        _blocks = TheirBlocks(manager, layers, page_bytes)
        taken = _blocks.alloc(1)  # waits until it is ready
        _blocks.free(taken)


def pages(count: int, times: int, warm_up: int, one_by_one: bool = False, counted: Sequence[str] = ()) -> Dict[str, Any]:
    assert _pages is not None
    engine = _pages
    return sequence.quietly(lambda: sequence.pages(engine, count, times, warm_up, one_by_one, counted))


def blocks(count: int, times: int, warm_up: int) -> Dict[str, List[float]]:
    assert _blocks is not None
    engine = _blocks
    kept = engine.alloc(1)  # its page stays mapped
    try:
        return {"list": sequence.quietly(lambda: sequence.blocks(engine.alloc, engine.free, count, times, warm_up))}
    finally:
        engine.free(kept)


def play(peak_blocks: int, count: int, waves: int, per_step: int, step_seconds: float) -> Dict[str, Any]:
    assert _blocks is not None
    return sequence.play(_blocks, trace.operations(count, peak_blocks, waves), per_step, step_seconds)


def after_the_peak(peak_blocks: int, keep: int, decay_seconds: float) -> Dict[str, Any]:
    assert _blocks is not None
    return sequence.after_the_peak(_blocks, peak_blocks, keep, decay_seconds)


def held(settle_seconds: float = 0.0) -> int:
    """Page ids mapped on each rank, in use or reserved."""
    assert _blocks is not None
    time.sleep(settle_seconds)
    return _blocks.held_pages()


def commands() -> Dict[str, Callable[..., Any]]:
    return {"open": open_engine, "pages": pages, "blocks": blocks, "play": play, "after_the_peak": after_the_peak, "held": held}
