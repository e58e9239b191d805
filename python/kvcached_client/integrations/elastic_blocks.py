"""The blocks that an engine holds of its pool. Plain bookkeeping: it knows neither PyTorch nor the engine, and all integrations share it."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Callable, Deque, Dict, Iterable, List, Optional

from ..errors import BlockError, MemoryRefusedError, NoBlocksError, UnavailableError
from .steps import StepClock

#: Name of the only KV group of an integration's pool.
GROUP = "kv"
_RETRY_SECONDS = 0.02
# After a wait that brought nothing, this many times as long goes by before the next: an engine whose other requests can go on mustn't spend its time waiting.
_REST_FACTOR = 4
_LEAST_REST_SECONDS = 0.05


class ElasticBlocks:
    """Blocks of a pool under the numbers that an engine knows them by: the pool's numbers times ``per_stride``.

    A block is on the shelf (taken from the pool, not yet given to the engine), out (the engine's), or kept (out, but only for its content: the pool may
    evict it). What the engine gives back goes to the pool at once.

    :param pool: A :class:`kvcached_client.Pool` with the group :data:`GROUP`.
    :param per_stride: Factor between the pool's numbers and the engine's.
    :param capacity: Blocks that the engine may have out.
    :param clock: Its steps.
    :param grow_timeout: Seconds to wait for pages; not again for a while when none came.
    :param now: Tells the time in seconds.
    """

    def __init__(
        self, pool: Any, per_stride: int, capacity: int, clock: StepClock, grow_timeout: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._per_stride = per_stride
        self._clock = clock
        self._grow_timeout = grow_timeout
        self._now = now
        self._ask_again_at = now()
        #: Called with the engine's number of a kept block whose content is gone.
        self.on_lost: Callable[[int], None] = lambda block: None
        self.capacity = capacity
        self._shelf: Deque[int] = deque()
        self._kept: Dict[int, bytes] = {}
        self._out = 0
        #: True when the pool had no memory in this pass: what couldn't be scheduled is a miss, and no error.
        self.has_missed = False
        #: The last refusal, for people.
        self.refusal = ""
        #: Times that memory was refused, and kept blocks that were lost.
        self.misses = 0
        self.losses = 0

    # -- a pass of the scheduler -----------------------------------------------------------------------------------------------------------

    def begin_pass(self) -> None:
        """Before the engine schedules a step: what the last one left over goes back, and what the pool evicted is forgotten."""
        self.has_missed = False
        if self._shelf:
            self._free(self._shelf)
            self._shelf.clear()
        for event in self._pool.poll_events():
            tag = getattr(event, "tag", None)
            block = getattr(event, "block", None)
            if tag is not None and self._kept.get(block) == tag:
                self._lose(block)

    def reserve(self, count: int) -> bool:
        """Has at least ``count`` blocks on the shelf, or none more than before and False: a scheduling miss.

        :raises PoolGoneError: The pool can't be used any more.
        """
        missing = count - len(self._shelf)
        if missing <= 0:
            return True
        if self.in_use + count > self.capacity:
            return False
        blocks = self._pool.try_alloc(GROUP, missing)
        if blocks is None:
            blocks = self._grow(missing)
        if blocks is None:
            return False
        for block in blocks:
            if block in self._kept:  # evicted to serve this very call; its event comes later
                self._lose(block)
        self._shelf.extend(blocks)
        return True

    def take_at_start(self, count: int, timeout: float) -> List[int]:
        """Takes blocks that don't count as the engine's, under its numbers. Waits: the pool's coordinator may not have heard of its worker yet, or another
        engine is being asked to give way.

        :raises MemoryRefusedError: There is too little memory after ``timeout`` seconds.
        :raises UnavailableError: The worker is still unknown.
        """
        deadline = self._now() + timeout
        while True:
            try:
                blocks = self._pool.alloc_or_grow(GROUP, count, timeout=max(0.001, min(5.0, deadline - self._now())))
                return [block * self._per_stride for block in blocks]
            except (MemoryRefusedError, UnavailableError, NoBlocksError):
                if self._now() >= deadline:
                    raise
                time.sleep(_RETRY_SECONDS)

    def take_block_0(self, most: int, timeout: float) -> bool:
        """Takes block 0 for good, for engines that pad with it. It is not always the first that comes: a growth that was given up on may come after all, and
        then there are two extents. False when it is none of the first ``most``.

        :raises MemoryRefusedError: There is too little memory after ``timeout`` seconds.
        :raises UnavailableError: The worker is still unknown.
        """
        others: List[int] = []
        try:
            while len(others) < most:
                (block,) = self.take_at_start(1, timeout)
                if block == 0:
                    return True
                others.append(block // self._per_stride)
            return False
        finally:
            if others:
                self._free(others)

    def _grow(self, count: int) -> Optional[List[int]]:
        """Waits for pages, unless that was tried a moment ago in vain."""
        began = self._now()
        if began < self._ask_again_at:
            self.has_missed = True
            return None
        try:
            return self._pool.alloc_or_grow(GROUP, count, timeout=self._grow_timeout)
        except (MemoryRefusedError, UnavailableError, NoBlocksError) as refusal:
            self.has_missed = True
            self.misses += 1
            self.refusal = str(refusal)
            ended = self._now()
            self._ask_again_at = ended + max(_LEAST_REST_SECONDS, _REST_FACTOR * (ended - began))
            return None

    # -- blocks of the engine --------------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._shelf)

    def popleft(self) -> int:
        """The engine takes a block off the shelf."""
        block = self._shelf.popleft()
        self._out += 1
        return block * self._per_stride

    def append(self, block: int) -> None:
        """The engine gives a block back."""
        self.extend((block,))

    def extend(self, blocks: Iterable[int]) -> None:
        """The engine gives blocks back."""
        numbers = [block // self._per_stride for block in blocks]
        for number in numbers:
            if number in self._kept:
                raise BlockError("block {0} is kept for its content; take it before it is given back".format(number))
        self._out -= len(numbers)
        self._free(numbers)

    @property
    def in_use(self) -> int:
        """Blocks that are out and not only kept for their content."""
        return self._out - len(self._kept)

    @property
    def out(self) -> int:
        """Blocks that are out, with those that are kept."""
        return self._out

    # -- content that is worth keeping -----------------------------------------------------------------------------------------------------

    def keep(self, block: int, tag: bytes) -> None:
        """Nobody uses this block now, but its content may be wanted again: the pool may evict it from here on."""
        number = block // self._per_stride
        self._pool.cache(GROUP, number, tag, self._clock.last_step)
        self._kept[number] = tag

    def is_kept(self, block: int) -> bool:
        return block // self._per_stride in self._kept

    def take(self, block: int) -> bool:
        """Puts a kept block to use again. False, and :attr:`on_lost` was called, when its content is gone."""
        number = block // self._per_stride
        tag = self._kept.get(number)
        if tag is None:
            return False
        try:
            self._pool.take_cached(GROUP, [number], [tag])
        except BlockError:
            self._lose(number)
            return False
        del self._kept[number]
        return True

    def _lose(self, number: int) -> None:
        del self._kept[number]
        self._out -= 1
        self.losses += 1
        self.on_lost(number * self._per_stride)

    def _free(self, numbers: Iterable[int]) -> None:
        self._pool.free(GROUP, list(numbers), self._clock.last_step)
