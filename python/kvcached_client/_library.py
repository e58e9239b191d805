"""Finds and loads ``libkvcached.so`` when it is first needed, and turns its codes into exceptions."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any, Optional

from . import _abi
from .errors import LibraryNotFoundError, error_of

_lock = threading.Lock()
_loaded: Optional["Library"] = None


class Library:
    """The loaded library: each function of ``kvcached.h`` is an attribute."""

    def __init__(self, path: str) -> None:
        self.path = path
        _abi.declare(ctypes.CDLL(path), ctypes.PyDLL(path), self)

    def __getattr__(self, name: str) -> Any:  # for type checkers: functions are set by declare()
        raise AttributeError(name)

    def check(self, status: int) -> None:
        """Raises what a code other than 0 stands for."""
        if status:
            raise error_of(
                status,
                self.kvc_status_name(status).decode("ascii"),
                self.kvc_last_error().decode("utf-8", "replace"),
            )


def library_path() -> str:
    """Path of the library that is used: ``KVCACHED_LIBRARY``, else the one inside this package."""
    named = os.environ.get("KVCACHED_LIBRARY")
    if named:
        if os.path.isfile(named):
            return named
        raise LibraryNotFoundError("KVCACHED_LIBRARY names {0!r}, which is no file. Run ./build-native.sh, which makes one.".format(named))
    inside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libkvcached.so")
    if os.path.isfile(inside):
        return inside
    raise LibraryNotFoundError(
        "This installation of kvcached_client has no libkvcached.so. Run ./build-wheel.sh in the repository and install the wheel, or run "
        "./build-native.sh and set KVCACHED_LIBRARY to the libkvcached.so that it made."
    )


def library() -> Library:
    """The library, loaded by the first call."""
    global _loaded
    if _loaded is None:
        with _lock:
            if _loaded is None:
                _loaded = _load()
    return _loaded


def _load() -> Library:
    path = library_path()
    try:
        loaded = Library(path)
    except (OSError, AttributeError) as problem:
        raise LibraryNotFoundError(
            "{0} can't be used: {1}. It needs Linux on x86-64 with glibc 2.34, and a build of this version.".format(path, problem)
        ) from problem
    found = loaded.kvc_abi_version()
    if found != _abi.ABI_VERSION:
        raise LibraryNotFoundError(
            "{0} has ABI version {1}, and this package needs {2}. Build both from the same source.".format(path, found, _abi.ABI_VERSION)
        )
    return loaded


def version() -> str:
    """Version of the native library."""
    return library().kvc_version().decode("ascii")


def abi_version() -> int:
    """Version of its binary interface."""
    return library().kvc_abi_version()


def milliseconds(seconds: float) -> int:
    """A time for the library, at least 1 ms unless it is 0."""
    if seconds < 0 or seconds != seconds:
        raise ValueError("a time of {0} seconds makes no sense".format(seconds))
    return min(max(1, round(seconds * 1000)), 2**31 - 1) if seconds > 0 else 0
