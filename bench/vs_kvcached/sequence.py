"""What is timed, once, for both systems: each gives an :class:`Engine`, and the clock stands here."""

from __future__ import annotations

import gc
import time
from typing import Any, Callable, Dict, List, Sequence

from . import counts, trace
from .figures import summary


class Engine:
    """What an engine's scheduler asks of either system. Page ids are on all ranks; blocks are ints."""

    blocks_per_page = 0
    bytes_per_page = 0

    def grow(self, pages: int) -> None:
        """Maps pages on all ranks, and returns when all have."""
        raise NotImplementedError

    def shrink(self, pages: int) -> None:
        """Unmaps what the same :meth:`grow` mapped, on all ranks."""
        raise NotImplementedError

    def alloc(self, count: int) -> List[int]:
        raise NotImplementedError

    def free(self, blocks: Sequence[int]) -> None:
        raise NotImplementedError

    def held_pages(self) -> int:
        """Page ids that are mapped on each rank, by the system's own count."""
        raise NotImplementedError


def pages(engine: Engine, count: int, times: int, warm_up: int, one_by_one: bool = False, counted: Sequence[str] = ()) -> Dict[str, Any]:
    """Times of growing by ``count`` page ids and of shrinking again, microseconds for all of them together.

    :param counted: Files with the counts of all processes that may call the driver (:mod:`counts`); with them go the calls made in the timed parts.
    """
    taken: Dict[str, List[float]] = {"grow": [], "shrink": []}
    calls: Dict[str, Any] = {"grow": {}, "shrink": {}}
    steps = [1] * count if one_by_one else [count]
    counters = counts.Sum(counted)
    for index in range(warm_up + times):
        for name, act in (("grow", engine.grow), ("shrink", engine.shrink)):
            counted_before = counters.read()
            before = time.perf_counter_ns()
            for step in steps:
                act(step)
            after = time.perf_counter_ns()
            if index >= warm_up:
                taken[name].append((after - before) / 1000)
                counts.add(calls[name], counted_before, counters.read())
    return {**taken, "calls": calls}


def blocks(alloc: Callable[[int], List[int]], free: Callable[[Sequence[int]], None], count: int, times: int, warm_up: int) -> List[float]:
    """Times of taking ``count`` blocks from mapped pages, microseconds; they are freed untimed."""
    taken: List[float] = []
    clock = time.perf_counter_ns
    for index in range(warm_up + times):
        before = clock()
        found = alloc(count)
        after = clock()
        free(found)
        if index >= warm_up:
            taken.append((after - before) / 1000)
    return taken


def play(engine: Engine, made: Sequence[int], per_step: int, step_seconds: float, sample_every: int = 20) -> Dict[str, Any]:
    """Plays a trace in steps as an engine has them; samples what is held between steps.

    The garbage collector stays as it is, as in an engine. Times are microseconds of single allocations.
    """
    pieces: List[List[int]] = []
    taken: List[float] = []
    freed: List[float] = []
    held: List[int] = []
    live_pages: List[float] = []
    live = 0
    clock = time.perf_counter_ns
    started = time.monotonic()
    for first in range(0, len(made), per_step):
        for operation in made[first : first + per_step]:
            if operation > 0:
                before = clock()
                found = engine.alloc(operation)
                taken.append((clock() - before) / 1000)
                pieces.append(found)
                live += operation
            else:
                gone = pieces[-1 - operation]
                before = clock()
                engine.free(gone)
                freed.append((clock() - before) / 1000)
                live -= len(gone)
                pieces[-1 - operation] = []
        step = first // per_step
        if step % sample_every == 0:
            held.append(engine.held_pages())
            live_pages.append(live / engine.blocks_per_page)
        left = started + (step + 1) * step_seconds - time.monotonic()
        if left > 0:
            time.sleep(left)
    ended = time.monotonic()
    for piece in pieces:
        if piece:
            engine.free(piece)
    ratios = [h / l for h, l in zip(held, live_pages) if l > 0]
    return {
        "allocations": summary(taken),
        "frees": summary(freed),
        "startedAt": started,
        "endedAt": ended,
        "meanHeldBytes": sum(held) / len(held) * engine.bytes_per_page,
        "meanLiveBytes": sum(live_pages) / len(live_pages) * engine.bytes_per_page,
        "heldOverLive": sum(held) / sum(live_pages),
        "meanOfRatios": sum(ratios) / len(ratios),
    }


def after_the_peak(engine: Engine, peak_blocks: int, keep: int, decay_seconds: float) -> Dict[str, Any]:
    """Takes blocks up to the peak, frees all but ``keep`` scattered ones, and watches the whole free pages return.

    They have the decay time, and a tenth more or 150 ms for timers.
    """
    allowed = decay_seconds + max(0.15, decay_seconds / 10)
    found: List[int] = []
    while len(found) < peak_blocks:
        found += engine.alloc(min(16, peak_blocks - len(found)))
    peak_pages = engine.held_pages()
    kept, gone = trace.scattered(found, keep)
    for first in range(0, len(gone), 16):
        engine.free(gone[first : first + 16])
    pages_in_use = len({block // engine.blocks_per_page for block in kept})
    at_once = engine.held_pages()
    samples: List[List[float]] = []
    started = time.monotonic()
    while True:
        passed = time.monotonic() - started
        samples.append([round(passed, 2), engine.held_pages()])
        if passed >= allowed:
            break
        time.sleep(min(0.25, max(0.01, allowed - passed)))
    held = engine.held_pages()
    free_whole = max(1, peak_pages - pages_in_use)
    for first in range(0, len(kept), 16):
        engine.free(kept[first : first + 16])
    return {
        "peakPages": peak_pages,
        "pagesInUse": pages_in_use,
        "pagesHeldAtOnce": at_once,
        "pagesHeld": held,
        "samples": samples,
        "heldOverLive": held * engine.blocks_per_page / keep,
        "atBestOverLive": pages_in_use * engine.blocks_per_page / keep,
        "wholeFreePages": free_whole,
        "returnedShare": (peak_pages - held) / free_whole,
    }


def quietly(call: Callable[[], Any]) -> Any:
    """Without the garbage collector, which both systems' short loops would otherwise pay at random."""
    gc.collect()
    gc.disable()
    try:
        return call()
    finally:
        gc.enable()
