"""What a pool is told when it is opened, and what it tells."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Optional

from . import _abi
from ._library import milliseconds

#: No step to wait for: the engine guarantees that nothing uses the memory any more.
STEP_NONE = 0
#: Wait for all work that the workers have submitted: for engines that don't count steps.
STEP_SYNC = 2**63 - 1


@dataclass(frozen=True)
class PoolOptions:
    """When a pool grows, evicts and gives back by itself.

    :ivar grow_ahead: Whether the library asks for pages ahead of need.
    :ivar growth_horizon: Seconds of the measured growth for which blocks are kept free.
    :ivar minimum_free_blocks: Kept free of each group once it was used.
    :ivar max_growth_pages: Most pages asked for ahead of need at once; fewer where one mapping of them would be larger than 128 MiB.
    :ivar warm_decay: Seconds after which unused extents go back; None = never.
    :ivar warm_pages_to_keep: Pages of each group that decay leaves mapped.
    :ivar evict_to_allocate: Whether allocating evicts the oldest cached blocks when free ones run out.
    :ivar give_up_cached: Whether extents that hold only cached blocks go to other pools that need memory.
    :ivar null_block: Whether a block of each group is set aside for padding.
    :ivar keep_tags: Whether a successor of this scheduler finds the tags.
    :ivar max_cached_bytes: Cap on the bytes of cached blocks on a rank; 0 = none.
    """

    grow_ahead: bool = True
    growth_horizon: float = 0.5
    minimum_free_blocks: int = 0
    max_growth_pages: int = 256
    warm_decay: Optional[float] = 5.0
    warm_pages_to_keep: int = 0
    evict_to_allocate: bool = True
    give_up_cached: bool = True
    null_block: bool = True
    keep_tags: bool = True
    max_cached_bytes: int = 0

    def _to_native(self) -> _abi.PoolOptions:
        return _abi.PoolOptions(
            struct_bytes=ctypes.sizeof(_abi.PoolOptions),
            no_growing_ahead=not self.grow_ahead,
            growth_horizon_ms=max(1, milliseconds(self.growth_horizon)),
            minimum_free_blocks=self.minimum_free_blocks,
            max_growth_pages=self.max_growth_pages,
            warm_decay_ms=-1 if self.warm_decay is None else max(1, milliseconds(self.warm_decay)),
            warm_pages_to_keep=self.warm_pages_to_keep,
            no_evicting_to_allocate=not self.evict_to_allocate,
            no_giving_up_cached=not self.give_up_cached,
            no_null_block=not self.null_block,
            no_keeping_tags=not self.keep_tags,
            max_cached_bytes=self.max_cached_bytes,
        )


@dataclass(frozen=True)
class Availability:
    """What a group can hand out: at once, more by evicting all that is cached, and more by growing as far as virtual room goes."""

    free_blocks: int
    cached_blocks: int
    unmapped_blocks: int


@dataclass(frozen=True)
class TaggedBlock:
    """A block that can be found again; ``is_cached`` is False while it is in use."""

    block: int
    tag: bytes
    is_cached: bool


@dataclass(frozen=True)
class PoolStats:
    """Counts of a pool over all groups; see ``kvc_pool_stats``."""

    mapped_pages: int
    warm_pages: int
    used_blocks: int
    cached_blocks: int
    free_blocks: int
    grants: int
    refusals: int
    revoked_extents: int
    returned_extents: int
    evicted_blocks: int
    pinned_extents: int
    rank_count: int
