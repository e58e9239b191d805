"""Names of GPUs: pools name them by UUID, because CUDA_VISIBLE_DEVICES renumbers them."""

from __future__ import annotations

import ctypes
import uuid

from .errors import NotThereError


def cuda_device_uuid(index: int = 0) -> str:
    """UUID of a GPU of this process, such as ``GPU-5d5b...``, by its number here (after CUDA_VISIBLE_DEVICES). Creates no context."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as problem:
        raise NotThereError("There is no CUDA driver here (libcuda.so.1): {0}. Without a GPU, ranks are named HOST-n.".format(problem)) from problem
    device = ctypes.c_int()
    raw = (ctypes.c_ubyte * 16)()
    _check(driver.cuInit(0), "cuInit")
    _check(driver.cuDeviceGet(ctypes.byref(device), index), "cuDeviceGet({0})".format(index))
    ask = getattr(driver, "cuDeviceGetUuid_v2", driver.cuDeviceGetUuid)
    _check(ask(raw, device), "cuDeviceGetUuid")
    return "GPU-" + str(uuid.UUID(bytes=bytes(raw)))


def _check(code: int, call: str) -> None:
    if code:
        raise NotThereError("{0} failed with CUDA error {1}; is there such a GPU in CUDA_VISIBLE_DEVICES?".format(call, code))
