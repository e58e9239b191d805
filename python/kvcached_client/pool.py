"""One pool as its engine's scheduler sees it."""

from __future__ import annotations

import ctypes
import weakref
from dataclasses import fields
from types import TracebackType
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple, Type, Union

from . import _abi
from ._library import Library, milliseconds
from .events import Event, EventQueue
from .geometry import PoolSpec
from .pool_facts import Availability, PoolStats, TaggedBlock

if TYPE_CHECKING:
    from .session import Session

_BUFFER_TOO_SMALL = 5
_NO_BLOCKS = 20
_CLOSE_SECONDS = 5.0

GroupRef = Union[int, str]


def _close(lib: Library, handle: int) -> None:
    lib.kvc_close_pool(handle, milliseconds(_CLOSE_SECONDS))


def _blocks(blocks: Sequence[int]) -> Any:
    """An int32 array: the very one that was passed, or a copy."""
    if isinstance(blocks, ctypes.Array) and blocks._type_ is ctypes.c_int32:
        return blocks
    return (ctypes.c_int32 * len(blocks))(*blocks)


class Pool:
    """A pool. Opened by :meth:`Session.open_pool`; close it, or use it in ``with``. Thread-safe.

    Block ids are plain ints. Methods that take several accept any sequence; a ``ctypes.c_int32`` array is used where it lies. A group is given by
    its index or name.
    """

    def __init__(self, lib: Library, handle: int, spec: PoolSpec, session: "Session") -> None:
        self._lib = lib
        self._handle = handle
        self._session = session
        self._events = EventQueue(handle)
        self.spec = spec
        self._finalizer = weakref.finalize(self, _close, lib, handle)

    # -- blocks ------------------------------------------------------------------------------------------------------------------------------

    def alloc(self, group: GroupRef, count: int) -> List[int]:
        """Takes exactly ``count`` blocks from mapped pages, without a round trip.

        :raises NoBlocksError: There are too few; none was taken. See :meth:`try_alloc`, :meth:`alloc_or_grow`.
        :raises PoolGoneError: The pool can't be used any more.
        """
        blocks = (ctypes.c_int32 * count)()
        self._lib.check(self._lib.kvc_blocks_alloc(self._handle, self._index(group), blocks, count))
        return blocks[:]

    def try_alloc(self, group: GroupRef, count: int) -> Optional[List[int]]:
        """As :meth:`alloc`, but None when there are too few blocks."""
        blocks = (ctypes.c_int32 * count)()
        status = self._lib.kvc_blocks_alloc(self._handle, self._index(group), blocks, count)
        if status == _NO_BLOCKS:
            return None
        self._lib.check(status)
        return blocks[:]

    def alloc_into(self, group: GroupRef, blocks: Any) -> None:
        """Fills a ``ctypes.c_int32`` array with blocks: :meth:`alloc` without making anything."""
        self._lib.check(self._lib.kvc_blocks_alloc(self._handle, self._index(group), blocks, len(blocks)))

    def alloc_or_grow(self, group: GroupRef, count: int, *, timeout: float) -> List[int]:
        """As :meth:`alloc`, but asks for pages when blocks are short, and waits for them at most ``timeout`` seconds.

        :raises MemoryRefusedError: There is too little memory; none was taken.
        """
        blocks = (ctypes.c_int32 * count)()
        self._lib.check(self._lib.kvc_blocks_alloc_or_grow(self._handle, self._index(group), blocks, count, milliseconds(timeout)))
        return blocks[:]

    def free(self, group: GroupRef, blocks: Sequence[int], last_step: int) -> None:
        """Frees used blocks, all or none.

        :param last_step: The last engine step that reads or writes them, :data:`STEP_NONE` or :data:`STEP_SYNC`.
        :raises BlockError: One of them is not in use.
        """
        array = _blocks(blocks)
        self._lib.check(self._lib.kvc_blocks_free(self._handle, self._index(group), array, len(array), last_step))

    # -- cache -------------------------------------------------------------------------------------------------------------------------------

    def tag(self, group: GroupRef, block: int, tag: bytes) -> None:
        """Gives a used or cached block a tag of 1 to 64 bytes: its content is complete and worth finding again."""
        self._lib.check(self._lib.kvc_block_tag(self._handle, self._index(group), block, tag, len(tag)))

    def cache(self, group: GroupRef, block: int, tag: bytes, last_step: int) -> None:
        """Tags a used block and makes it cached: evictable, and the most recently used."""
        self._lib.check(self._lib.kvc_block_cache(self._handle, self._index(group), block, tag, len(tag), last_step))

    def cache_tagged(self, group: GroupRef, blocks: Sequence[int], last_step: int) -> None:
        """Makes used blocks that have tags cached, all or none; the first counts as least recently used."""
        array = _blocks(blocks)
        self._lib.check(self._lib.kvc_blocks_cache(self._handle, self._index(group), array, len(array), last_step))

    def take_cached(self, group: GroupRef, blocks: Sequence[int], expected: Optional[Sequence[bytes]] = None) -> None:
        """Puts cached blocks to use again, all or none.

        :param expected: The tags that they must have: so a block that was evicted and used anew is never taken for what it once held.
        :raises TagMismatchError: One has another tag; none was taken.
        :raises BlockError: One isn't cached any more; none was taken.
        """
        array = _blocks(blocks)
        tags = None
        if expected is not None:
            if len(expected) != len(array) or not all(1 <= len(tag) <= _abi.MAX_TAG_BYTES for tag in expected):
                raise ValueError("one tag of 1 to {0} bytes is needed for each of the {1} blocks".format(_abi.MAX_TAG_BYTES, len(array)))
            tags = (_abi.Tag * len(array))()
            for native, tag in zip(tags, expected):
                native.byte_count = len(tag)
                ctypes.memmove(native.bytes, tag, len(tag))
        self._lib.check(self._lib.kvc_blocks_take_cached(self._handle, self._index(group), array, len(array), tags))

    def touch(self, group: GroupRef, block: int) -> None:
        """Makes a cached block the most recently used."""
        self._lib.check(self._lib.kvc_block_touch(self._handle, self._index(group), block))

    def evict(self, group: GroupRef, blocks: Sequence[int]) -> None:
        """Makes cached blocks free, all or none."""
        array = _blocks(blocks)
        self._lib.check(self._lib.kvc_blocks_evict(self._handle, self._index(group), array, len(array)))

    def tag_of(self, group: GroupRef, block: int) -> bytes:
        """The tag of a block."""
        tag = _abi.Tag()
        self._lib.check(self._lib.kvc_block_get_tag(self._handle, self._index(group), block, ctypes.byref(tag)))
        return tag.to_bytes()

    def tagged_blocks(self, group: GroupRef) -> List[TaggedBlock]:
        """All tagged blocks, in no order: what a scheduler that took the pool over rebuilds its prefix cache from."""
        found = self._read_all(_abi.TaggedBlock, self._lib.kvc_blocks_list_tagged, group)
        return [TaggedBlock(item.block, item.tag.to_bytes(), bool(item.is_cached)) for item in found]

    # -- memory ------------------------------------------------------------------------------------------------------------------------------

    def available(self, group: GroupRef) -> Availability:
        native = _abi.Availability()
        self._lib.check(self._lib.kvc_pool_available(self._handle, self._index(group), ctypes.byref(native)))
        return Availability(native.free_blocks, native.cached_blocks, native.unmapped_blocks)

    def grow(self, group: GroupRef, pages: int, *, timeout: float) -> int:
        """Asks for pages: all come, mapped on every rank, or none. Returns how many came.

        :raises MemoryRefusedError: A GPU has too little, or the limit is reached.
        :raises UnavailableError: A rank has no worker attached, or doesn't answer.
        """
        granted = ctypes.c_int32()
        self._lib.check(self._lib.kvc_pool_grow(self._handle, self._index(group), pages, milliseconds(timeout), ctypes.byref(granted)))
        return granted.value

    def trim(self, group: GroupRef, *, warm_pages_to_keep: int = 0, timeout: float) -> int:
        """Gives unused extents back, longest idle first. Returns the pages given back."""
        returned = ctypes.c_int32()
        self._lib.check(
            self._lib.kvc_pool_trim(self._handle, self._index(group), warm_pages_to_keep, milliseconds(timeout), ctypes.byref(returned))
        )
        return returned.value

    def pin(self, group: GroupRef, first_page: int, pages: int) -> None:
        """Keeps these pages mapped until as many :meth:`unpin`: for memory that is registered elsewhere (RDMA)."""
        self._lib.check(self._lib.kvc_pool_pin(self._handle, self._index(group), first_page, pages))

    def unpin(self, group: GroupRef, first_page: int, pages: int) -> None:
        """Takes one :meth:`pin` of the same range back."""
        self._lib.check(self._lib.kvc_pool_unpin(self._handle, self._index(group), first_page, pages))

    def extents(self, group: GroupRef) -> List[Tuple[int, int]]:
        """First page and page count of each mapped extent, in no order."""
        return [(item.first_page, item.page_count) for item in self._read_all(_abi.Extent, self._lib.kvc_pool_extents, group)]

    def null_block(self, group: GroupRef, *, timeout: float = 0.0) -> int:
        """The block with which engines pad block tables. Waits until it is mapped, growing as needed.

        :raises NotThereError: It isn't mapped yet, and ``timeout`` is 0.
        """
        block = ctypes.c_int32()
        self._lib.check(self._lib.kvc_pool_null_block(self._handle, self._index(group), milliseconds(timeout), ctypes.byref(block)))
        return block.value

    def stats(self) -> PoolStats:
        native = _abi.PoolStats()
        self._lib.check(self._lib.kvc_pool_get_stats(self._handle, ctypes.byref(native)))
        return PoolStats(*[getattr(native, field.name) for field in fields(PoolStats)])

    def rank_bytes(self, rank: int) -> Tuple[int, int]:
        """Bytes held, and bytes of used blocks, on one rank."""
        mapped, live = ctypes.c_int64(), ctypes.c_int64()
        self._lib.check(self._lib.kvc_pool_rank_bytes(self._handle, rank, ctypes.byref(mapped), ctypes.byref(live)))
        return mapped.value, live.value

    # -- events and end ----------------------------------------------------------------------------------------------------------------------

    def keep_events(self, capacity: int = 65536) -> None:
        """Keeps events for :meth:`poll_events` from now on; when there are more, the oldest are lost and :class:`Lost` says so."""
        self._events.keep(capacity)

    def poll_events(self, timeout: Optional[float] = 0.0) -> List[Event]:
        """Events since the last call; waits for the first at most ``timeout`` seconds, without end when None."""
        return self._events.poll(timeout)

    def events_fileno(self) -> int:
        """A descriptor that is readable while events are kept, for ``select`` and event loops. Don't read or close it."""
        return self._events.fileno()

    def check(self) -> None:
        """Raises why the pool can't be used any more; does nothing while it can."""
        self._lib.check(self._lib.kvc_pool_state(self._handle))

    @property
    def is_closed(self) -> bool:
        return not self._finalizer.alive or self._session.is_closed

    def close(self, *, last_step: int = 0, timeout: float = _CLOSE_SECONDS) -> None:
        """Closes the pool and returns its memory. More calls do nothing.

        :param last_step: The last step that uses the pool, for a scheduler that runs ahead of its workers; they unmap nothing before they have completed it,
            nor the last step that blocks were freed or cached with.
        """
        if self._finalizer.detach() is not None and not self._session.is_closed:
            self._lib.check(self._lib.kvc_close_pool_after(self._handle, last_step, milliseconds(timeout)))

    def __enter__(self) -> "Pool":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], problem: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _index(self, group: GroupRef) -> int:
        return group if group.__class__ is int else self.spec.group_index(group)

    def _read_all(self, item_type: Any, read: Any, group: GroupRef) -> Any:
        """Reads a list that may grow while its size is asked for."""
        index, room, count = self._index(group), 256, ctypes.c_int32()
        while True:
            items = (item_type * room)()
            status = read(self._handle, index, items, room, ctypes.byref(count))
            if status != _BUFFER_TOO_SMALL:
                self._lib.check(status)
                return items[: count.value]
            room = count.value + count.value // 8
