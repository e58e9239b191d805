"""The blocks of one page, as kvcached's block manager hands them out."""

from __future__ import annotations

from typing import List, Sequence, Tuple


class InternalPage:
    """A page whose blocks are taken from the front of a list and given back at its end. Sizes are bytes of one buffer of one layer.

    Blocks that straddle a page's end belong to neither page.
    """

    def __init__(self, page_id: int, page_size: int) -> None:
        self._page_id = int(page_id)
        self._page_size = int(page_size)
        self._block_count = 0
        self._free: List[int] = []

    @property
    def page_id(self) -> int:
        return self._page_id

    @property
    def page_size(self) -> int:
        return self._page_size

    def init(self, block_mem_size: int) -> None:
        """Makes all blocks of the page free."""
        first, end = self.get_block_range(self._page_id, self._page_size, block_mem_size)
        self._free = list(range(first, end))
        self._block_count = end - first

    def alloc(self, num_blocks: int) -> List[int]:
        """:raises RuntimeError: Fewer are free; none was taken."""
        if num_blocks > len(self._free):
            raise RuntimeError("Not enough free blocks in page {0}: {1} wanted, {2} free".format(self._page_id, num_blocks, len(self._free)))
        taken = self._free[:num_blocks]
        del self._free[:num_blocks]
        return taken

    def free(self, block_id: int) -> None:
        self._free.append(block_id)

    def free_batch(self, block_ids: Sequence[int]) -> None:
        self._free.extend(block_ids)

    def empty(self) -> bool:
        """Whether no block is in use."""
        return len(self._free) == self._block_count

    def full(self) -> bool:
        """Whether no block is free."""
        return not self._free

    def num_free_blocks(self) -> int:
        return len(self._free)

    def get_free_blocks(self) -> List[int]:
        return list(self._free)

    @staticmethod
    def get_block_range(page_id: int, page_size: int, block_mem_size: int) -> Tuple[int, int]:
        """First block that lies wholly in the page, and the one after the last."""
        return -(-page_id * page_size // block_mem_size), (page_id + 1) * page_size // block_mem_size

    @staticmethod
    def get_num_blocks(page_size: int, block_mem_size: int) -> int:
        return page_size // block_mem_size
