"""How the raw tensors that kvcached's views expect lie in a pool's arena.

A pool's block is a whole page here: kvcached cuts pages into blocks itself.

==================  ====================================================================  =======================================================
kvcached's layout   raw tensors                                                           KV group
==================  ====================================================================  =======================================================
contiguous          one; page id p at p * page_bytes * layers * buffers                   one layer, one buffer, pages of that many bytes
unified             one per layer; page id p at p * page_bytes                            all layers, one buffer
split               one per layer, keys in the first half, values in the second           all layers, two buffers
==================  ====================================================================  =======================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence

from ..arena import Arena
from ..geometry import Group, PoolSpec

#: kvcached's unit of pages.
BASE_PAGE_BYTES = 2 << 20
GROUP = "kv"


@dataclass(frozen=True)
class RawTensor:
    """A range of addresses, in bytes."""

    address: int
    byte_count: int


@dataclass(frozen=True)
class KvLayout:
    """Raw tensors of one group.

    :ivar layer_bytes: Virtual bytes of a layer, over all its buffers; rounded up to whole pages.
    :ivar page_bytes: Bytes of a page of one buffer of one layer.
    """

    layer_bytes: int
    page_bytes: int
    layers: int
    buffers: int
    is_contiguous: bool
    is_unified: bool

    @property
    def page_count(self) -> int:
        """Page ids that the tensors have room for."""
        return self.layer_bytes // self._layer_page_bytes

    @property
    def bytes_per_page_id(self) -> int:
        """Bytes that one page id takes on a rank."""
        return self._layer_page_bytes * self.layers

    @property
    def is_split(self) -> bool:
        return not self.is_contiguous and not self.is_unified and self.buffers == 2

    @property
    def _layer_page_bytes(self) -> int:
        # In a unified pool a page holds keys and values alike, so that the number of buffers doesn't multiply it.
        return self.page_bytes * (1 if self.is_unified and not self.is_contiguous else self.buffers)

    def offset_of(self, page_id: int) -> int:
        """Offset of a page id as kvcached counts it, in bytes."""
        return page_id * (self.bytes_per_page_id if self.is_contiguous else self.page_bytes)

    def page_of(self, offset: int) -> int:
        """:raises ValueError: There is no page at that offset."""
        stride = self.offset_of(1)
        if offset % stride or not 0 <= offset // stride < self.page_count:
            raise ValueError("there is no page at offset {0}: pages are {1} bytes apart, and there are {2}".format(offset, stride, self.page_count))
        return offset // stride

    def group(self) -> Group:
        """The KV group whose pages are these."""
        if self.is_contiguous:
            layers, page_bytes = 1, self.bytes_per_page_id
        else:
            layers, page_bytes = self.layers, self.page_bytes
        kind, buffers = ("multi_head", 2) if self.is_split else ("multi_head_latent", 1)
        return Group(GROUP, kind, 1, layers, buffers, page_bytes, page_bytes, self.page_count)

    def spec(self, name: str, gpus: Sequence[str], limit_bytes: int) -> PoolSpec:
        return PoolSpec(name, [self.group()], list(gpus), layout="contiguous" if self.is_contiguous else "per_layer", limit_bytes=limit_bytes)

    def raw_tensors(self, arena: Arena) -> List[RawTensor]:
        """Where the raw tensors lie.

        :raises RuntimeError: The arena lies otherwise than kvcached's views expect.
        """
        first = [tensor for tensor in arena.tensors if tensor.buffer == 0]
        for tensor in arena.tensors:
            if tensor.block_stride_bytes != tensor.block_bytes or tensor.block_count < self.page_count:
                raise RuntimeError("blocks of layer {0} are {1} bytes apart instead of {2}".format(tensor.layer, tensor.block_stride_bytes, tensor.block_bytes))
            half = tensor.address - first[tensor.layer].address
            if half != tensor.buffer * self.page_count * self.page_bytes:
                raise RuntimeError("buffer {0} of layer {1} lies {2} bytes behind the first".format(tensor.buffer, tensor.layer, half))
        byte_count = self.page_count * (self.bytes_per_page_id if self.is_contiguous else self._layer_page_bytes)
        return [RawTensor(tensor.address, byte_count) for tensor in first]


def layout_of(*, size: int, page_bytes: int, layers: int, buffers: int, is_contiguous: bool, is_unified: bool) -> KvLayout:
    """Rounds and checks what :func:`~kvcached_client.compat.vmm_ops.create_kv_tensors` was asked for.

    :raises ValueError: A number is out of range.
    """
    if min(size, layers) < 1 or buffers not in (1, 2):
        raise ValueError("KV tensors of {0} bytes a layer, {1} layers and {2} buffers can't be; there are 1 or 2 buffers".format(size, layers, buffers))
    unit = page_bytes * (1 if is_unified and not is_contiguous else buffers)
    return KvLayout(-(-size // unit) * unit, page_bytes, layers, buffers, is_contiguous, is_unified)
