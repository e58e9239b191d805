"""The scheduler process of an engine over our pools: ``open``, then what is to be timed."""

from __future__ import annotations

import ctypes
import time
from typing import Any, Callable, Dict, List, Sequence

from . import sequence, trace
from .ours import OurEngine

_sessions: List[Any] = []
_engines: Dict[str, OurEngine] = {}


def open_pools(socket: str, gpus: List[str], pools: List[Dict[str, Any]]) -> None:
    """Opens pools; each has ``name``, ``layout``, ``layers``, ``page_bytes``, ``block_bytes``, ``virtual_pages``, ``options``."""
    import kvcached_client as kvc

    session = kvc.Session(socket, "vs-kvcached")
    _sessions.append(session)
    for wanted in pools:
        group = kvc.Group("full", "multi_head", 16, wanted["layers"], 2, wanted["block_bytes"], wanted["page_bytes"], wanted["virtual_pages"])
        spec = kvc.PoolSpec(wanted["name"], [group], gpus, layout=wanted["layout"])
        _engines[wanted["name"]] = OurEngine(_open(session, spec, kvc.PoolOptions(**wanted["options"])), group)


def _open(session: Any, spec: Any, options: Any) -> Any:
    """Hosts make themselves known a moment after they have started."""
    import kvcached_client as kvc

    deadline = time.monotonic() + 30
    while True:
        try:
            return session.open_pool(spec, options)
        except (kvc.UnavailableError, kvc.BadSpecError) as refusal:
            is_early = isinstance(refusal, kvc.UnavailableError) or "UNKNOWN_GPU" in str(refusal)
            if not is_early or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def ready(pool: str, null_block: bool) -> int:
    """Waits until pages can be mapped on all ranks. Returns the page ids mapped then: those of the padding block."""
    import kvcached_client as kvc

    engine = _engines[pool]
    deadline = time.monotonic() + 30
    while True:
        try:
            if null_block:
                engine.pool.null_block(0, timeout=10)
            else:
                engine.grow(1)
                engine.shrink(1)
            return engine.held_pages()
        except kvc.UnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def pages(pool: str, count: int, times: int, warm_up: int, one_by_one: bool = False, counted: Sequence[str] = ()) -> Dict[str, Any]:
    return sequence.quietly(lambda: sequence.pages(_engines[pool], count, times, warm_up, one_by_one, counted))


def blocks(pool: str, count: int, times: int, warm_up: int) -> Dict[str, List[float]]:
    """Taking blocks from mapped pages: as a list of ints, and into an array that is there already."""
    engine = _engines[pool]
    array = (ctypes.c_int32 * count)()

    def fill(_: int) -> Any:
        engine.pool.alloc_into(0, array)
        return array

    kept = engine.alloc(1)  # its page stays mapped
    try:
        as_list = sequence.quietly(lambda: sequence.blocks(lambda n: engine.pool.alloc(0, n), engine.free, count, times, warm_up))
        in_place = sequence.quietly(lambda: sequence.blocks(fill, engine.free, count, times, warm_up))
    finally:
        engine.free(kept)
    return {"list": as_list, "array": in_place}


def play(pool: str, peak_blocks: int, count: int, waves: int, per_step: int, step_seconds: float) -> Dict[str, Any]:
    return sequence.play(_engines[pool], trace.operations(count, peak_blocks, waves), per_step, step_seconds)


def after_the_peak(pool: str, peak_blocks: int, keep: int, decay_seconds: float) -> Dict[str, Any]:
    return sequence.after_the_peak(_engines[pool], peak_blocks, keep, decay_seconds)


def trim(pool: str) -> int:
    """Gives back what is unused. Returns the page ids still held."""
    _engines[pool].pool.trim(0, timeout=20)
    return _engines[pool].held_pages()


def held(pool: str) -> int:
    return _engines[pool].held_pages()


def commands() -> Dict[str, Callable[..., Any]]:
    return {
        "open": open_pools, "ready": ready, "pages": pages, "blocks": blocks, "play": play, "after_the_peak": after_the_peak, "trim": trim, "held": held,
    }
