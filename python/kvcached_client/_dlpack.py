"""Makes DLPack capsules without a compiler. The memory they describe is the arena's, so that nothing is to be done when a consumer lets go."""

from __future__ import annotations

import ctypes
from typing import Any, List, Optional, Sequence, Tuple

_CPU, _CUDA = 1, 2


class _Device(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("index", ctypes.c_int32)]


class _DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("dimension_count", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _ManagedTensor(ctypes.Structure):
    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


# Consumers read a description as long as their tensor lives, also while the interpreter ends, when no callback could run. So it stays: some
# hundred bytes per tensor.
_descriptions: List[Any] = []
_NAME = b"dltensor"


class Exporter:
    """Describes memory to whoever asks in the way of DLPack. Strides are in elements."""

    def __init__(
        self, *, address: int, is_on_gpu: bool, device_index: int, code: int, item_bytes: int, shape: Sequence[int], strides: Sequence[int]
    ) -> None:
        shape_array = (ctypes.c_int64 * len(shape))(*shape)
        stride_array = (ctypes.c_int64 * len(strides))(*strides)
        description = _ManagedTensor()
        description.tensor.data = address
        description.tensor.device = _Device(_CUDA if is_on_gpu else _CPU, device_index)
        description.tensor.dimension_count = len(shape)
        description.tensor.dtype = _DataType(code, item_bytes * 8, 1)
        description.tensor.shape = shape_array
        description.tensor.strides = stride_array
        self._description = description
        self._arrays = (shape_array, stride_array)

    def __dlpack_device__(self) -> Tuple[int, int]:
        device = self._description.tensor.device
        return device.kind, device.index

    def __dlpack__(self, stream: Optional[int] = None, **_options: Any) -> Any:
        """A capsule ``dltensor``. Nothing is in flight on any stream when the memory is handed over, so that ``stream`` doesn't matter."""
        _descriptions.append((self._description, self._arrays))
        make = ctypes.pythonapi.PyCapsule_New
        make.restype = ctypes.py_object
        make.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return make(ctypes.addressof(self._description), _NAME, None)
