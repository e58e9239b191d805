"""The driver's own calls, through ctypes on libcuda: what no system can avoid. One process per GPU, all at the same time, as ranks map.

Without a GPU there are none. Figures are microseconds; a call through ctypes costs about 0.3 of them.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any, Callable, Dict, List

_FD = 1  # CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR


class _Location(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("id", ctypes.c_int)]


class _Properties(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("handle_types", ctypes.c_int), ("location", _Location), ("win32", ctypes.c_void_p), ("flags", ctypes.c_ubyte * 8),
    ]


class _Access(ctypes.Structure):
    _fields_ = [("location", _Location), ("flags", ctypes.c_int)]


class Driver:
    """One device's calls; no context is made unless asked for.

    :param exportable: Whether what it creates can be shared by descriptors. :param rdma: Whether network cards may reach it.
    """

    def __init__(self, exportable: bool = True, rdma: bool = False) -> None:
        self._cuda: Any = ctypes.CDLL("libcuda.so.1")
        size, address, handle = ctypes.c_size_t, ctypes.c_uint64, ctypes.c_uint64
        types: Dict[str, List[Any]] = {
            "cuMemAddressReserve": [ctypes.POINTER(address), size, size, address, ctypes.c_uint64],
            "cuMemAddressFree": [address, size],
            "cuMemCreate": [ctypes.POINTER(handle), size, ctypes.POINTER(_Properties), ctypes.c_uint64],
            "cuMemRelease": [handle],
            "cuMemMap": [address, size, size, handle, ctypes.c_uint64],
            "cuMemUnmap": [address, size],
            "cuMemSetAccess": [address, size, ctypes.POINTER(_Access), size],
            "cuMemExportToShareableHandle": [ctypes.c_void_p, handle, ctypes.c_int, ctypes.c_uint64],
            "cuMemImportFromShareableHandle": [ctypes.POINTER(handle), ctypes.c_void_p, ctypes.c_int],
        }
        for name, arguments in types.items():
            getattr(self._cuda, name).argtypes = arguments
        self.call("cuInit", 0)
        self._properties = _Properties(1, _FD if exportable else 0, _Location(1, 0))
        self._properties.flags[1] = 1 if rdma else 0

    def call(self, name: str, *arguments: Any) -> float:
        """Makes the call; returns its microseconds."""
        function = getattr(self._cuda, name)
        before = time.perf_counter_ns()
        code = function(*arguments)
        after = time.perf_counter_ns()
        if code:
            raise RuntimeError("{0} failed with CUDA error {1}".format(name, code))
        return (after - before) / 1000

    def reserve(self, size: int) -> int:
        found = ctypes.c_uint64()
        self.call("cuMemAddressReserve", ctypes.byref(found), size, 0, 0, 0)
        return found.value

    def create(self, size: int, took: Dict[str, List[float]]) -> int:
        handle = ctypes.c_uint64()
        took.setdefault("cuMemCreate", []).append(self.call("cuMemCreate", ctypes.byref(handle), size, ctypes.byref(self._properties), 0))
        return handle.value

    def map(self, address: int, size: int, handle: int, took: Dict[str, List[float]]) -> None:
        took.setdefault("cuMemMap", []).append(self.call("cuMemMap", address, size, 0, handle, 0))
        took.setdefault("cuMemSetAccess", []).append(self.allow(address, size))

    def allow(self, address: int, size: int, access: int = 3) -> float:
        """Sets access, by default to read and write; returns microseconds."""
        return self.call("cuMemSetAccess", address, size, ctypes.byref(_Access(_Location(1, 0), access)), 1)

    def make_context(self) -> None:
        """A primary context, as any engine's worker has one."""
        context = ctypes.c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self.call("cuCtxSetCurrent", context)

    def unmap(self, address: int, size: int, took: Dict[str, List[float]]) -> None:
        took.setdefault("cuMemUnmap", []).append(self.call("cuMemUnmap", address, size))

    def export(self, handle: int, took: Dict[str, List[float]]) -> int:
        descriptor = ctypes.c_int(-1)
        took.setdefault("cuMemExportToShareableHandle", []).append(
            self.call("cuMemExportToShareableHandle", ctypes.byref(descriptor), handle, _FD, 0)
        )
        return descriptor.value

    def take(self, descriptor: int, took: Dict[str, List[float]]) -> int:
        handle = ctypes.c_uint64()
        took.setdefault("cuMemImportFromShareableHandle", []).append(
            self.call("cuMemImportFromShareableHandle", ctypes.byref(handle), descriptor, _FD)
        )
        return handle.value

    def release(self, handle: int, took: Dict[str, List[float]]) -> None:
        took.setdefault("cuMemRelease", []).append(self.call("cuMemRelease", handle))

    def free(self, address: int, size: int) -> None:
        self.call("cuMemAddressFree", address, size)


class KeptHandles:
    """Handles side by side that stay while they are mapped and unmapped all together, again and again."""

    def __init__(self, size: int, mappings: int) -> None:
        self._driver = Driver()

        # As any engine's worker has one. Without it, and with nothing else mapped, each first map and last unmap costs a millisecond more.
        self._driver.make_context()
        self._size = size
        self._base = self._driver.reserve(size * mappings)
        self._handles = [self._driver.create(size, {}) for _ in range(mappings)]

    def map(self) -> Dict[str, float]:
        """Microseconds by call, summed over the mappings."""
        took: Dict[str, List[float]] = {}
        for place, handle in enumerate(self._handles):
            self._driver.map(self._base + place * self._size, self._size, handle, took)
        return {name: sum(values) for name, values in took.items()}

    def unmap(self) -> Dict[str, float]:
        took: Dict[str, List[float]] = {}
        for place in range(len(self._handles)):
            self._driver.unmap(self._base + place * self._size, self._size, took)
        return {name: sum(values) for name, values in took.items()}

    def let_go(self) -> None:
        for handle in self._handles:
            self._driver.release(handle, {})
        self._driver.free(self._base, self._size * len(self._handles))


_kept: List[KeptHandles] = []


def prepare(size: int, mappings: int) -> None:
    _kept.append(KeptHandles(size, mappings))


def anew(size: int, times: int, warm_up: int) -> Dict[str, Dict[str, List[float]]]:
    """A new handle each time: what its owner calls (create, export, release) and what a process that gets its descriptor calls."""
    owner, worker = Driver(), Driver()
    worker.make_context()
    base = worker.reserve(size)
    by_owner: Dict[str, List[float]] = {}
    by_worker: Dict[str, List[float]] = {}
    for index in range(warm_up + times):
        if index == warm_up:
            by_owner, by_worker = {}, {}
        handle = owner.create(size, by_owner)
        descriptor = owner.export(handle, by_owner)
        imported = worker.take(descriptor, by_worker)
        os.close(descriptor)
        worker.map(base, size, imported, by_worker)
        worker.unmap(base, size, by_worker)
        worker.release(imported, by_worker)
        owner.release(handle, by_owner)
    worker.free(base, size)
    return {"owner": by_owner, "worker": by_worker}


def commands() -> Dict[str, Callable[..., Any]]:
    return {
        "prepare": prepare, "map": lambda: _kept[-1].map(), "unmap": lambda: _kept[-1].unmap(), "let_go": lambda: _kept.pop().let_go(), "anew": anew,
    }
