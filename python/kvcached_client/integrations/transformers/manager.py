"""The engine's block manager over blocks of a pool. Needs no PyTorch: the class that it extends is given."""

from __future__ import annotations

from typing import Any, Dict, Optional, Set, Type

from ..elastic_blocks import ElasticBlocks
from .signatures import MANAGER_ATTRIBUTES, require_attributes


def tag_of(content_hash: int) -> bytes:
    """The tag of a block with this content hash, at most 64 bytes."""
    return content_hash.to_bytes(content_hash.bit_length() // 8 + 1, "little", signed=True)[:64]


class CheckedHashes(Dict[int, int]):
    """The engine's table from content hash to block. Whoever looks a block up that nobody uses gets it only if its content is still there."""

    def __init__(self, manager: Any) -> None:
        super().__init__()
        self._manager = manager

    def get(self, content_hash: int, default: Optional[int] = None) -> Optional[int]:  # type: ignore[override]
        block = super().get(content_hash)
        if block is None or not self._manager.ensure_content(block):
            return default
        return block


def elastic_manager_class(base: Type[Any]) -> Type[Any]:
    """A class that an instance of ``base``, the engine's ``BlockManager``, can be turned into by :func:`make_elastic`."""

    class ElasticBlockManager(base):  # type: ignore[misc, valid-type]
        """Blocks that are free are the pool's; complete ones that nobody uses stay findable until the pool evicts them."""

        elastic: ElasticBlocks
        _put_to_use: Set[int]

        @property
        def num_free_blocks(self) -> int:
            """What the engine may still take, whether it is mapped or not: memory that isn't there is found out by asking for it."""
            return self.elastic.capacity - self.elastic.in_use

        def has_enough_free_blocks(self, n_blocks: int) -> bool:
            return self.elastic.reserve(n_blocks)

        def increase_ref_count(self, block_id: int) -> None:
            super().increase_ref_count(block_id)
            self._put_to_use.discard(block_id)

        def decrease_ref_count(self, block_id: int) -> None:
            super().decrease_ref_count(block_id)
            if block_id in self._init_block_ids:
                self.elastic.keep(block_id, tag_of(self._id_to_block[block_id].hash))

        def ensure_content(self, block_id: int) -> bool:
            """Whether a block holds what it is listed with. One that is only kept is put to use, so that it can't be evicted any more."""
            if not self.elastic.is_kept(block_id):
                return True
            if not self.elastic.take(block_id):
                return False
            self._put_to_use.add(block_id)
            return True

        def begin_pass(self) -> None:
            """Before each step is scheduled: blocks that were looked up and then not used are kept again."""
            for block_id in self._put_to_use:
                if block_id in self._init_block_ids:
                    self.elastic.keep(block_id, tag_of(self._id_to_block[block_id].hash))
            self._put_to_use.clear()
            self.elastic.begin_pass()

        def forget(self, block_id: int) -> None:
            """A kept block was evicted: whatever was listed about it goes."""
            self._init_block_ids.pop(block_id, None)
            block = self._id_to_block.pop(block_id, None)
            if block is not None and dict.get(self._hash_to_id, block.hash) == block_id:
                del self._hash_to_id[block.hash]

    return ElasticBlockManager


def make_elastic(manager: Any, elastic: ElasticBlocks) -> None:
    """Turns the engine's new block manager into an elastic one.

    :raises IntegrationError: It isn't built as recorded; it wasn't changed.
    """
    require_attributes("BlockManager", manager, MANAGER_ATTRIBUTES)
    manager.__class__ = elastic_manager_class(manager.__class__)
    manager.elastic = elastic
    manager.num_blocks = elastic.capacity
    manager._put_to_use = set()
    manager._uninit_block_ids = elastic
    manager._hash_to_id = CheckedHashes(manager)
    elastic.on_lost = manager.forget
