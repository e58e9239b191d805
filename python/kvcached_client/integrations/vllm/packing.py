"""How vLLM's blocks lie in a pool. Plain arithmetic over vLLM's own descriptions, without PyTorch.

vLLM has a packed layout: one tensor for all layers, in which each block is one piece and each layer has its place in every block (``offset`` and
``block_stride`` of a ``KVCacheTensor``). Put into it, a block of vLLM is a block of the pool, its number is the pool's number, and one driver mapping serves all
layers. Its own reshaping makes the layers' views.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any, List

from ...geometry import MIB, Group
from ..elastic_blocks import GROUP
from ..errors import IntegrationError

_UNIT_BYTES = 2 * MIB
_MOST_PAGE_BYTES = 32 * MIB
_ALIGNMENT_BYTES = 256


@dataclass(frozen=True)
class BlockShape:
    """A block over all layers of a rank.

    :ivar stride_bytes: Bytes from one block to the next, with what fills it up.
    :ivar page_bytes: Bytes of a page, which holds whole blocks and nothing else.
    """

    stride_bytes: int
    page_bytes: int

    def group(self, blocks: int, tokens_per_block: int) -> Group:
        """The pool's KV group with room for so many blocks."""
        per_page = self.page_bytes // self.stride_bytes
        return Group(GROUP, "multi_head", tokens_per_block, 1, 1, self.stride_bytes, self.page_bytes, -(-blocks // per_page))


def shape_of(block_bytes: int) -> BlockShape:
    """The shape for blocks of so many bytes: without filling where a page of at most 32 MiB holds whole blocks, else with the least."""
    if block_bytes < 1:
        raise ValueError("a block has {0} bytes".format(block_bytes))
    whole = block_bytes * _UNIT_BYTES // gcd(block_bytes, _UNIT_BYTES)
    if whole <= max(_MOST_PAGE_BYTES, block_bytes) and block_bytes % _ALIGNMENT_BYTES == 0:
        return BlockShape(block_bytes, whole)
    best = None
    for units in range(max(1, -(-block_bytes // _UNIT_BYTES)), max(_MOST_PAGE_BYTES, 2 * block_bytes) // _UNIT_BYTES + 1):
        page_bytes = units * _UNIT_BYTES
        per_page = page_bytes // block_bytes
        while per_page and (page_bytes % per_page or (page_bytes // per_page) % _ALIGNMENT_BYTES):
            per_page -= 1
        if per_page and (best is None or page_bytes // per_page < best.stride_bytes):
            best = BlockShape(page_bytes // per_page, page_bytes)
    assert best is not None  # one block to a page is always possible
    return best


def pack(config: Any) -> BlockShape:
    """Puts a ``KVCacheConfig`` of vLLM into the packed layout, in place.

    :raises IntegrationError: It has layers that the packed layout doesn't serve; it wasn't changed.
    """
    blocks, tensors = config.num_blocks, config.kv_cache_tensors
    if config.has_mamba_layers:
        raise IntegrationError("the model has Mamba layers, which vLLM's packed layout of the KV cache doesn't serve; leave kvcached off for it.")
    if not tensors or blocks < 2:
        raise IntegrationError("the engine planned {0} KV tensors of {1} blocks; there is nothing to put into a pool.".format(len(tensors), blocks))
    if all(tensor.block_stride for tensor in tensors):
        return _already_packed(tensors, blocks)
    if any(tensor.block_stride or tensor.size % blocks for tensor in tensors):
        raise IntegrationError("the engine's KV tensors aren't whole blocks, or only some of them are packed; leave kvcached off for this model.")
    sizes = [tensor.size // blocks for tensor in tensors]
    shape = shape_of(sum(sizes))
    offset = 0
    for tensor, size in zip(tensors, sizes):
        tensor.offset, tensor.block_stride, tensor.size = offset, shape.stride_bytes, shape.stride_bytes * blocks
        offset += size
    return shape


def _already_packed(tensors: List[Any], blocks: int) -> BlockShape:
    """vLLM packs some models itself; only the distance of its blocks may grow."""
    strides = {tensor.block_stride for tensor in tensors}
    if len(strides) != 1 or any(tensor.size != tensor.block_stride * blocks for tensor in tensors):
        raise IntegrationError("the engine packed its KV tensors in blocks of {0} bytes, which isn't one block size; leave kvcached off for this model.".format(sorted(strides)))
    shape = shape_of(strides.pop())
    for tensor in tensors:
        tensor.block_stride, tensor.size = shape.stride_bytes, shape.stride_bytes * blocks
    return shape
