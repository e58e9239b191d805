"""Where a page allocator's page ids come from. All of one source are mapped, on every rank of the stage, by the time they are taken."""

from __future__ import annotations

import threading
import time
from typing import List, Protocol, Sequence

from ..errors import MemoryRefusedError, UnavailableError
from ..pool import Pool
from ..pool_facts import STEP_SYNC

# After a refusal an engine is told for so long that there is no more than what is free already; it evicts or preempts meanwhile, as for any full pool.
_REFUSAL_SECONDS = 0.25
_RETRY_SECONDS = 0.01


class PageSource(Protocol):
    """Mapped pages, by number."""

    def take(self, count: int) -> List[int]:
        """Exactly so many page ids. :raises RuntimeError: They can't be had; none was taken."""

    def give(self, page_ids: Sequence[int]) -> None:
        """Gives pages back. They may stay mapped for a while, and are unmapped once the work that was submitted so far is done."""

    def available(self) -> int:
        """Pages that are likely to be had."""


class PoolPages:
    """The pages of a pool whose blocks are whole pages. Thread-safe.

    Page 0 is the first to be taken, because engines pad block tables with block 0; it is mapped from the start.
    """

    def __init__(self, pool: Pool, timeout: "float | None") -> None:
        self._pool = pool
        self._timeout = 60.0 if timeout is None else timeout
        self._lock = threading.Lock()
        self._refused_until = 0.0
        self._first: List[int] = self._take_first()

    def take(self, count: int) -> List[int]:
        with self._lock:
            ready, self._first = self._first[:count], self._first[count:]
        try:
            more = self._pool.alloc_or_grow(0, count - len(ready), timeout=self._timeout) if count > len(ready) else []
        except Exception as problem:
            with self._lock:
                self._first = ready + self._first
                if isinstance(problem, MemoryRefusedError):
                    self._refused_until = time.monotonic() + _REFUSAL_SECONDS
            raise RuntimeError("{0} pages can't be had: {1}".format(count, problem)) from problem
        return ready + more

    def give(self, page_ids: Sequence[int]) -> None:
        self._pool.free(0, list(page_ids), STEP_SYNC)
        with self._lock:
            self._refused_until = 0.0

    def available(self) -> int:
        facts = self._pool.available(0)
        with self._lock:
            is_refused = time.monotonic() < self._refused_until
            return len(self._first) + facts.free_blocks + (0 if is_refused else facts.unmapped_blocks)

    def _take_first(self) -> List[int]:
        """Waits until the workers of all ranks are there, and takes page 0."""
        end = time.monotonic() + self._timeout
        pause = threading.Event()
        while True:
            try:
                pages = self._pool.alloc_or_grow(0, 1, timeout=self._timeout)
            except UnavailableError:
                if time.monotonic() >= end:
                    raise
                pause.wait(_RETRY_SECONDS)
                continue
            if pages != [0]:
                self._pool.free(0, pages, STEP_SYNC)
                raise RuntimeError("pool {0!r} began with page {1} instead of 0: another scheduler used it before".format(self._pool.spec.name, pages[0]))
            return pages


class NumberedPages:
    """Page ids without memory of this package behind them: for an allocator whose owner maps them by callbacks, or that has no KV tensors."""

    def __init__(self, page_count: int) -> None:
        self._free = list(range(page_count))
        self._lock = threading.Lock()

    def take(self, count: int) -> List[int]:
        with self._lock:
            if count > len(self._free):
                raise RuntimeError("No free pages left: {0} wanted, {1} free".format(count, len(self._free)))
            taken, self._free = self._free[:count], self._free[count:]
            return taken

    def give(self, page_ids: Sequence[int]) -> None:
        with self._lock:
            self._free = sorted(self._free + list(page_ids))

    def available(self) -> int:
        with self._lock:
            return len(self._free)
