"""How blocks of the engine's paged cache lie in an arena. Plain arithmetic, without PyTorch.

The engine keeps one flat tensor per layer and buffer, of shape (tokens, heads, elements), and finds token t of block b at row ``b * block_size + t``.
In an arena the blocks of a layer lie a stride apart, with those of the other layers between them. A stride is a whole number of blocks, so a flat
tensor that begins at the layer's block 0 has block b at row ``b * blocks_per_stride * block_size``: the engine is given ``b * blocks_per_stride`` as the
block's number, and its own arithmetic finds every token. Nothing of its kernels or indices changes, and one mapping serves all layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from ...geometry import MIB, Group
from ..elastic_blocks import GROUP

#: Blocks that take the engine's padding: one that it reads and one that it writes.
TRASH_BLOCKS = 2
_UNIT_BYTES = 2 * MIB
_MOST_PAGE_BYTES = 64 * MIB


@dataclass(frozen=True)
class CacheShape:
    """Shape of the engine's cache on one rank.

    :ivar tensors: Layers of a layer group: layers that share a block.
    :ivar block_size: Tokens of a block.
    :ivar kv_heads: Heads on this rank.
    :ivar head_elements: Elements of a head.
    :ivar item_bytes: Bytes of an element.
    """

    tensors: int
    block_size: int
    kv_heads: int
    head_elements: int
    item_bytes: int

    @property
    def token_bytes(self) -> int:
        """Bytes of a token in one buffer of one layer."""
        return self.kv_heads * self.head_elements * self.item_bytes

    @property
    def block_bytes(self) -> int:
        """Bytes of a block in one buffer of one layer."""
        return self.block_size * self.token_bytes

    @property
    def bytes_per_block(self) -> int:
        """Bytes of a block over all layers and both buffers."""
        return self.block_bytes * self.tensors * 2

    def page_bytes(self) -> int:
        """The smallest page that holds whole blocks and nothing else.

        :raises ValueError: It would be unreasonably large.
        """
        page_bytes = self.block_bytes * _UNIT_BYTES // gcd(self.block_bytes, _UNIT_BYTES)
        if page_bytes > _MOST_PAGE_BYTES:
            raise ValueError(
                "blocks of {0} bytes fill pages of whole {1} MiB only by {2} MiB; choose a block_size so that block_size * {3} bytes divides or is a "
                "multiple of {1} MiB, for example 256".format(self.block_bytes, _UNIT_BYTES // MIB, page_bytes // MIB, self.token_bytes)
            )
        return page_bytes

    def group(self, blocks: int) -> Group:
        """The KV group with room for so many blocks, besides those for padding."""
        page_bytes = self.page_bytes()
        blocks_per_page = page_bytes // self.block_bytes
        pages = -(-(blocks + TRASH_BLOCKS) // blocks_per_page)
        return Group(GROUP, "multi_head", self.block_size, self.tensors, 2, self.block_bytes, page_bytes, pages)

    def blocks_that_fit(self, memory_bytes: int) -> int:
        """Blocks that so much memory could hold, at least one."""
        return max(1, memory_bytes // self.bytes_per_block)


def blocks_per_stride(block_stride_bytes: int, block_bytes: int) -> int:
    """Blocks between two neighbouring blocks of a layer, the first included.

    :raises ValueError: The stride is no whole number of blocks.
    """
    if block_bytes < 1 or block_stride_bytes % block_bytes or block_stride_bytes < block_bytes:
        raise ValueError("blocks lie {0} bytes apart, which is no multiple of their {1} bytes".format(block_stride_bytes, block_bytes))
    return block_stride_bytes // block_bytes


def flat_rows(block_count: int, per_stride: int, block_size: int) -> int:
    """Rows of a flat tensor from a layer's block 0 to the end of its last block: a multiple of ``block_size``."""
    return ((block_count - 1) * per_stride + 1) * block_size
