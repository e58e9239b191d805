"""Element types of a KV cache, and what NumPy and DLPack call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Union


@dataclass(frozen=True)
class DType:
    """An element type.

    :ivar name: As PyTorch spells it.
    :ivar item_bytes: Bytes of an element.
    :ivar typestr: What NumPy and the CUDA array interface call it. 16-bit brain floats and 8-bit floats, which they don't know, are integers there.
    :ivar dlpack_code: Its kind in DLPack; what DLPack doesn't know everywhere is an integer there.
    """

    name: str
    item_bytes: int
    typestr: str
    dlpack_code: int

    @property
    def is_exact_in_dlpack(self) -> bool:
        """False when a tensor has to be viewed as this type after it came as integers."""
        return not self.name.startswith("float8")


_INT, _UINT, _FLOAT, _BFLOAT = 0, 1, 2, 4

_DTYPES: Dict[str, DType] = {
    dtype.name: dtype
    for dtype in (
        DType("uint8", 1, "|u1", _UINT),
        DType("int8", 1, "|i1", _INT),
        DType("int16", 2, "<i2", _INT),
        DType("int32", 4, "<i4", _INT),
        DType("float16", 2, "<f2", _FLOAT),
        DType("bfloat16", 2, "<i2", _BFLOAT),
        DType("float32", 4, "<f4", _FLOAT),
        DType("float8_e4m3fn", 1, "|u1", _UINT),
        DType("float8_e5m2", 1, "|u1", _UINT),
    )
}
_ALIASES = {"half": "float16", "float": "float32", "fp16": "float16", "bf16": "bfloat16", "fp8": "float8_e4m3fn", "float8_e4m3": "float8_e4m3fn"}


def dtype_of(dtype: Union[str, DType, object]) -> DType:
    """The element type of a name (``"bfloat16"``), a NumPy dtype or a PyTorch dtype."""
    if isinstance(dtype, DType):
        return dtype
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None) or str(dtype)
    name = name.rsplit(".", 1)[-1]  # "torch.bfloat16"
    found = _DTYPES.get(_ALIASES.get(name, name))
    if found is None:
        raise ValueError("{0!r} is no element type of a KV cache; known are {1}".format(dtype, ", ".join(sorted(_DTYPES))))
    return found
