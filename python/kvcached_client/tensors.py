"""One buffer of one layer, as an array over blocks for NumPy, PyTorch and whatever else reads DLPack or the (CUDA) array interface.

Nothing is copied: an array shows the arena's memory, block by block with a stride. It covers all block ids that there is virtual room for; only those
that the scheduler holds are mapped, and touching another is a fault. Arrays must not be used after the arena is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from . import _dlpack
from .dtypes import DType, dtype_of


@dataclass(frozen=True)
class Tensor:
    """Block b starts at ``address + b * block_stride_bytes`` and has ``block_bytes``.

    :ivar group: Index of the KV group.
    :ivar group_name: Its name.
    :ivar layer: Layer within the group on this rank.
    :ivar buffer: 0 keys and 1 values, or 0 alone.
    :ivar tokens_per_block: 0 for states.
    :ivar block_count: Block ids that there is virtual room for.
    :ivar is_host_accessible: True on main memory, False on a GPU.
    """

    group: int
    group_name: str
    layer: int
    buffer: int
    tokens_per_block: int
    address: int
    block_bytes: int
    block_stride_bytes: int
    block_count: int
    is_host_accessible: bool

    def shape_and_strides(
        self, dtype: Union[str, DType, object] = "uint8", shape: Optional[Sequence[int]] = None
    ) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
        """Shape (blocks first) and strides in bytes.

        :param dtype: Type of the elements.
        :param shape: Shape of one block, such as ``(tokens, heads, elements)``; one of its numbers may be -1. It may be smaller than the block, which
            then ends in padding. Default: all elements of a block in a row.
        """
        item_bytes = dtype_of(dtype).item_bytes
        if self.block_stride_bytes % item_bytes or self.address % item_bytes:
            raise ValueError("blocks start every {0} bytes, which {1} don't divide".format(self.block_stride_bytes, dtype))
        inner = self._inner_shape(item_bytes, shape)
        strides: List[int] = []
        step = item_bytes
        for size in reversed(inner):
            strides.insert(0, step)
            step *= size
        if step > self.block_bytes:
            raise ValueError("a block of shape {0} in {1} has {2} bytes; there are {3}".format(tuple(inner), dtype, step, self.block_bytes))
        return (self.block_count, *inner), (self.block_stride_bytes, *strides)

    def numpy(self, dtype: Union[str, DType, object] = "uint8", shape: Optional[Sequence[int]] = None) -> Any:
        """A NumPy array over main memory; see :meth:`shape_and_strides`. NumPy has no bfloat16 and fp8, which come as int16 and uint8."""
        if not self.is_host_accessible:
            raise ValueError("this tensor lies on a GPU; use torch() or __dlpack__()")
        import numpy

        return numpy.asarray(_Interface("__array_interface__", self._interface(dtype, shape)))

    def torch(
        self, dtype: Union[str, DType, object] = "uint8", shape: Optional[Sequence[int]] = None, device_index: Optional[int] = None
    ) -> Any:
        """A PyTorch tensor over the same memory; see :meth:`shape_and_strides`.

        :param dtype: A ``torch.dtype``, or its name.
        :param device_index: The GPU's number in this process; default: the current device.
        :raises ValueError: This PyTorch is too old for the type.
        """
        import torch

        wanted = dtype_of(dtype)
        if not hasattr(torch, wanted.name):
            raise ValueError("PyTorch {0} has no {1}; take the elements as uint8".format(torch.__version__, wanted.name))
        exact = wanted if wanted.is_exact_in_dlpack else dtype_of("uint8")
        if device_index is None:
            device_index = 0 if self.is_host_accessible else torch.cuda.current_device()
        if not self.is_host_accessible:
            torch.cuda.init()
        tensor = torch.utils.dlpack.from_dlpack(self.dlpack(exact, shape, device_index))
        return tensor if exact is wanted else tensor.view(getattr(torch, wanted.name))

    def dlpack(self, dtype: Union[str, DType, object] = "uint8", shape: Optional[Sequence[int]] = None, device_index: int = 0) -> Any:
        """An object with ``__dlpack__``, for ``from_dlpack`` of any library."""
        wanted = dtype_of(dtype)
        full_shape, strides = self.shape_and_strides(wanted, shape)
        return _dlpack.Exporter(
            address=self.address,
            is_on_gpu=not self.is_host_accessible,
            device_index=device_index,
            code=wanted.dlpack_code,
            item_bytes=wanted.item_bytes,
            shape=full_shape,
            strides=[stride // wanted.item_bytes for stride in strides],
        )

    def cuda_array(self, dtype: Union[str, DType, object] = "uint8", shape: Optional[Sequence[int]] = None) -> Any:
        """An object with ``__cuda_array_interface__``, for CuPy, Numba and PyTorch. They ask the driver about the address of block 0, which must be
        mapped; :meth:`torch` and :meth:`dlpack` don't need that. bfloat16 and fp8 come as int16 and uint8."""
        if self.is_host_accessible:
            raise ValueError("this tensor lies in main memory; use numpy(), torch() or dlpack()")
        return _Interface("__cuda_array_interface__", self._interface(dtype, shape))

    def _interface(self, dtype: Union[str, DType, object], shape: Optional[Sequence[int]]) -> Dict[str, Any]:
        full_shape, strides = self.shape_and_strides(dtype, shape)
        return {
            "version": 3,
            "shape": full_shape,
            "strides": strides,
            "typestr": dtype_of(dtype).typestr,
            "data": (self.address, False),
        }

    def _inner_shape(self, item_bytes: int, shape: Optional[Sequence[int]]) -> List[int]:
        inner = list(shape) if shape is not None else [-1]
        known = 1
        for size in inner:
            known *= size if size != -1 else 1
        if inner.count(-1) > 1 or known < 1:
            raise ValueError("{0} is no shape of a block".format(shape))
        if -1 in inner:
            inner[inner.index(-1)] = self.block_bytes // item_bytes // known
        if min(inner, default=1) < 1:
            raise ValueError("a block of {0} bytes has no room for shape {1}".format(self.block_bytes, shape))
        return inner


class _Interface:
    """Carries an array interface."""

    def __init__(self, name: str, value: Dict[str, Any]) -> None:
        setattr(self, name, value)
