"""What can go wrong, one class per thing that an engine does about it. Messages are the library's: what failed, on what, and what to do."""

from __future__ import annotations

from typing import Dict, Type


class KvcachedError(Exception):
    """Anything that the library answered with an error code.

    :ivar status: The code, as in ``kvcached.h``.
    :ivar name: Its name, such as ``KVC_ERROR_NO_BLOCKS``.
    """

    def __init__(self, message: str, status: int = 0, name: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.name = name


class LibraryNotFoundError(KvcachedError, ImportError):
    """There is no ``libkvcached.so``, or not one that this package can use."""


class InvalidArgumentError(KvcachedError, ValueError):
    """An argument is out of range or makes no sense."""


class HandleError(KvcachedError):
    """The session, pool or arena was closed, or belongs to another process."""


class ForkedError(KvcachedError):
    """This process was forked after the library had started. Start workers before the first call, or spawn them."""


class InternalError(KvcachedError):
    """A bug of the library, or the process has no memory left."""


class NotThereError(KvcachedError):
    """What was asked for doesn't exist (yet)."""


class NoBlocksError(KvcachedError):
    """Fewer blocks are free and evictable than asked for; none was taken. Grow, or wait until blocks are freed."""


class BlockError(KvcachedError):
    """A block can't be used so: foreign, stale, freed twice, not cached, not tagged. No block of the call was changed."""


class TagMismatchError(BlockError):
    """A block is cached under another tag than expected: it was evicted and used anew."""


class RefusedError(KvcachedError):
    """The domain said no, and nothing changed."""


class BadSpecError(RefusedError):
    """The pool can't be opened as described: correct the spec."""


class MemoryRefusedError(RefusedError):
    """There is too little memory, or the pool's limit is reached: evict, queue or preempt."""


class UnavailableError(RefusedError):
    """Not now: a host or rank can't be reached, is recovering or busy. Try again."""


class PoolGoneError(RefusedError):
    """The pool or session is gone: open it anew."""


_FAMILIES: Dict[int, Type[KvcachedError]] = {
    1: InvalidArgumentError,
    2: HandleError,
    3: ForkedError,
    4: InternalError,
    5: InternalError,
    6: NotThereError,
    20: NoBlocksError,
    28: TagMismatchError,
}
for _status in range(21, 28):
    _FAMILIES[_status] = BlockError
for _status in (102, 104, 105, 106, 107, 123, 128, 129, 130):
    _FAMILIES[_status] = BadSpecError
for _status in (108, 109, 111, 133):
    _FAMILIES[_status] = MemoryRefusedError
for _status in (115, 116, 117, 119, 120, 121, 122, 126, 127, 131, 134):
    _FAMILIES[_status] = UnavailableError
for _status in (101, 103, 114, 124):
    _FAMILIES[_status] = PoolGoneError


def error_of(status: int, name: str, message: str) -> KvcachedError:
    """The exception for a code other than 0."""
    family = _FAMILIES.get(status, RefusedError if status > 100 else KvcachedError)
    return family("{0} ({1})".format(message, name), status, name)
