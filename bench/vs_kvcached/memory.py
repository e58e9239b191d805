"""Memory in use on GPUs, as NVML says. Makes no context."""

from __future__ import annotations

import ctypes
import threading
import time
from typing import Any, List, Optional, Sequence, Tuple


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class GpuMemory:
    """Bytes in use on each of some GPUs, by everybody."""

    def __init__(self, uuids: Sequence[str]) -> None:
        self._nvml: Any = ctypes.CDLL("libnvidia-ml.so.1")
        self._check(self._nvml.nvmlInit_v2(), "nvmlInit")
        self._devices: List[ctypes.c_void_p] = []
        for uuid in uuids:
            device = ctypes.c_void_p()
            self._check(self._nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(device)), "nvmlDeviceGetHandleByUUID " + uuid)
            self._devices.append(device)

    def used(self) -> List[int]:
        found = []
        for device in self._devices:
            memory = _Memory()
            self._check(self._nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)), "nvmlDeviceGetMemoryInfo")
            found.append(memory.used)
        return found

    def settled(self, seconds: float = 5.0) -> List[int]:
        """In use once it hasn't changed for half a second, or ``seconds`` are over: memory of processes that end goes with a delay."""
        deadline = time.monotonic() + seconds
        last, since = self.used(), time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - since < 0.5:
            time.sleep(0.1)
            now = self.used()
            if now != last:
                last, since = now, time.monotonic()
        return last

    @staticmethod
    def _check(code: int, call: str) -> None:
        if code:
            raise RuntimeError("{0} failed with NVML error {1}".format(call, code))


class Watch:
    """Samples memory in use in a thread while something else goes on: (monotonic seconds, bytes per GPU)."""

    def __init__(self, memory: Optional[GpuMemory], period_seconds: float = 0.05) -> None:
        self.samples: List[Tuple[float, List[int]]] = []
        self._memory = memory
        self._period = period_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        if self._memory is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._memory is not None:
            self._thread.join()

    def mean_used(self, start: float, end: float) -> Optional[float]:
        """Mean over the samples between two times and over the GPUs; None without a GPU."""
        found = [sum(used) / len(used) for at, used in self.samples if start <= at <= end]
        return sum(found) / len(found) if found else None

    def _run(self) -> None:
        assert self._memory is not None
        while not self._stop.wait(self._period):
            self.samples.append((time.monotonic(), self._memory.used()))
