"""The scheduler's session with its domain."""

from __future__ import annotations

import ctypes
import weakref
from types import TracebackType
from typing import Optional, Type

from . import _abi
from ._library import Library, library, milliseconds
from .geometry import PoolSpec
from .pool import Pool
from .pool_facts import PoolOptions


def _close(lib: Library, handle: int) -> None:
    lib.kvc_close_session(handle)


class Session:
    """A session of an engine's scheduler. Close it, or use it in ``with``: that closes its pools and returns their memory.

    :param socket_path: Engine socket of any host of the domain on this machine.
    :param engine_name: For people; 1 to 64 characters.
    :param domain: The domain to reach.
    :param connect_timeout: Seconds that opening may take.
    :param close_timeout: Seconds that closing may take.
    :raises UnavailableError: No host answers at that socket.
    """

    def __init__(
        self,
        socket_path: str,
        engine_name: str,
        *,
        domain: str = "default",
        connect_timeout: float = 30.0,
        close_timeout: float = 5.0,
    ) -> None:
        lib = library()
        options = _abi.SessionOptions(
            struct_bytes=ctypes.sizeof(_abi.SessionOptions),
            connect_timeout_ms=max(1, milliseconds(connect_timeout)),
            socket_path=socket_path.encode("utf-8"),
            engine_name=engine_name.encode("utf-8"),
            domain=domain.encode("utf-8"),
            close_timeout_ms=max(1, milliseconds(close_timeout)),
        )
        handle = _abi.Handle()
        lib.check(lib.kvc_open_session(ctypes.byref(options), ctypes.byref(handle)))
        self._lib = lib
        self._handle = handle.value
        self._finalizer = weakref.finalize(self, _close, lib, handle.value)

    def open_pool(self, spec: PoolSpec, options: Optional[PoolOptions] = None, *, timeout: float = 30.0) -> Pool:
        """Opens a pool; or takes over one of the same name and geometry whose session has ended, with what is mapped and tagged
        (:meth:`Pool.tagged_blocks`).

        :raises BadSpecError: The spec breaks a rule, names an unknown GPU, or the name is in use.
        :raises MemoryRefusedError: Its floor doesn't fit.
        """
        native, kept = spec._to_native()
        native_options = (options or PoolOptions())._to_native()
        handle = _abi.Handle()
        self._lib.check(
            self._lib.kvc_open_pool(
                self._handle, ctypes.byref(native), ctypes.byref(native_options), milliseconds(timeout), ctypes.byref(handle)
            )
        )
        del kept
        return Pool(self._lib, handle.value, spec, self)

    @property
    def is_connected(self) -> bool:
        """True while a host is connected. Without one, mapped pages can be used until the lease ends."""
        connected = ctypes.c_int32()
        self._lib.kvc_session_state(self._handle, ctypes.byref(connected))
        return bool(connected.value)

    def check(self) -> None:
        """Raises why the session ended; does nothing while it lives."""
        self._lib.check(self._lib.kvc_session_state(self._handle, None))

    @property
    def is_closed(self) -> bool:
        return not self._finalizer.alive

    def close(self) -> None:
        """Closes the session and its pools. More calls do nothing."""
        if self._finalizer.detach() is not None:
            self._lib.check(self._lib.kvc_close_session(self._handle))

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], problem: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()
