"""What pools and arenas tell without being asked. They are polled: no Python code runs on the library's threads."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import List, Optional, Union

from . import _abi
from ._library import library, milliseconds

_MOST_AT_ONCE = 256


@dataclass(frozen=True)
class Evicted:
    """A cached block was evicted: forget what it held."""

    group: int
    block: int
    tag: bytes


@dataclass(frozen=True)
class Shrink:
    """The domain asked for memory back. What was not given up at once is in use or pinned: what is freed or preempted within ``deadline`` seconds is
    given up too, as soon as whole extents are free; 0 when nobody waits for more."""

    asked_pages: int
    given_up_pages: int
    deadline: float = 0.0


@dataclass(frozen=True)
class Withdrawn:
    """The pool is gone; its blocks must not be used any more."""

    status: int


@dataclass(frozen=True)
class PoolGone:
    """The arena's pool was closed or withdrawn, and everything is unmapped."""

    status: int


@dataclass(frozen=True)
class Lost:
    """So many events came while there was no room for them. Compare with the blocks that are tagged now."""

    count: int


Event = Union[Evicted, Shrink, Withdrawn, PoolGone, Lost]


def _read(native: _abi.Event) -> Event:
    if native.kind == 1:
        return Evicted(native.group, native.block, native.tag.to_bytes())
    if native.kind == 2:
        return Shrink(native.asked_pages, native.given_up_pages, native.deadline_ms / 1000)
    if native.kind == 3:
        return Withdrawn(native.status)
    if native.kind == 4:
        return PoolGone(native.status)
    return Lost(native.lost_count)


class EventQueue:
    """The events of one pool or arena, kept by the library until they are polled."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def keep(self, capacity: int) -> None:
        lib = library()
        lib.check(lib.kvc_events_keep(self._handle, capacity))

    def poll(self, timeout: Optional[float]) -> List[Event]:
        """Up to 256 events; waits for the first, without end when ``timeout`` is None."""
        lib = library()
        buffer = (_abi.Event * _MOST_AT_ONCE)()
        count = ctypes.c_int32()
        wait = -1 if timeout is None else milliseconds(timeout)
        lib.check(lib.kvc_events_poll(self._handle, buffer, _MOST_AT_ONCE, wait, ctypes.byref(count)))
        return [_read(buffer[i]) for i in range(count.value)]

    def fileno(self) -> int:
        lib = library()
        descriptor = ctypes.c_int32()
        lib.check(lib.kvc_events_descriptor(self._handle, ctypes.byref(descriptor)))
        return descriptor.value
