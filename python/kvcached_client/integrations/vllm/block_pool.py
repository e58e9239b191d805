"""vLLM's block pool over a pool of Kvcached. Needs neither PyTorch nor vLLM: the class that it extends is given."""

from __future__ import annotations

from typing import Any, Iterable, List, Optional, Sequence, Set, Type

from ..elastic_blocks import ElasticBlocks
from ..errors import IntegrationError


class _NoQueue:
    """In place of the base's queue of free blocks. A few models' managers take blocks from the queue itself; they can't be served."""

    def __getattr__(self, name: str) -> Any:
        raise IntegrationError("this model takes KV blocks from the engine's own queue ({0}), which kvcached doesn't have; leave kvcached off for it.".format(name))


def tag_of(block_hash: Any) -> bytes:
    """The tag of a block with this hash and group, at most 64 bytes."""
    return bytes(block_hash)[:64]


def elastic_pool_class(base: Type[Any]) -> Type[Any]:
    """A subclass of ``base``, vLLM's ``BlockPool``, whose blocks are mapped while they are used; complete ones that nobody uses stay findable until the pool
    evicts them."""

    class ElasticBlockPool(base):  # type: ignore[misc, valid-type]
        """Free blocks are the pool's; block b of vLLM is block b of the pool. The null block is block 0, which the pool holds for good."""

        def __init__(self, elastic: ElasticBlocks, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.elastic = elastic
            elastic.capacity = self.num_gpu_blocks - 1
            elastic.on_lost = self._forget
            #: Blocks that were looked up, and so put to use, but not taken by a request yet.
            self._looked_up: Set[int] = set()
            #: True within ``allocate_slots``: what is counted then is wanted now.
            self.is_allocating = False
            self._found = 0
            self.free_block_queue = _NoQueue()

        # -- a pass of the scheduler ---------------------------------------------------------------------------------------------------------

        def begin_pass(self) -> None:
            """Before a step is scheduled: blocks that were looked up and not taken are kept again, and what the pool evicted is forgotten."""
            for number in self._looked_up:
                self._release(self.blocks[number])
            self._looked_up.clear()
            self.elastic.begin_pass()

        def count(self, blocks: int, computed: Sequence[Sequence[Any]], is_wanted: bool) -> None:
            """The engine counts what a request needs: so many blocks, among them those that were found for it and that nobody else uses. If they are wanted
            now, memory for the others is set aside for this pass; when there is none, :meth:`get_num_free_blocks` tells."""
            self._found = sum(1 for group in computed for block in group if block.ref_cnt == 0 and not block.is_null)
            if is_wanted:
                self.elastic.reserve(max(0, blocks - self._found))

        # -- what vLLM calls -----------------------------------------------------------------------------------------------------------------

        def get_num_free_blocks(self) -> int:
            """What may still be taken, mapped or not; once memory was refused in this pass, what is set aside. Blocks that were looked up are in use already, but
            the engine counts them as free until it takes them: those of the request that it counts, or else all."""
            free = len(self.elastic) if self.elastic.has_missed else self.elastic.capacity - self.elastic.in_use
            return free + (self._found if self.is_allocating else len(self._looked_up))

        def get_new_blocks(self, num_blocks: int) -> List[Any]:
            if num_blocks < 0 or not self.elastic.reserve(num_blocks):
                raise ValueError("Cannot get {0} free blocks from the pool. {1}".format(num_blocks, self.elastic.refusal))
            taken = [self.blocks[self.elastic.popleft()] for _ in range(num_blocks)]
            for block in taken:
                assert block.ref_cnt == 0 and not block.is_null
                block.ref_cnt = 1
                if self.metrics_collector:
                    self.metrics_collector.on_block_allocated(block)
            return taken

        def get_cached_block(self, block_hash: Any, kv_cache_group_ids: List[int]) -> Optional[List[Any]]:
            """As the base's, but what is found is there: a block that nobody uses is put to use, so that it can't be evicted any more."""
            while True:
                found = super().get_cached_block(block_hash, kv_cache_group_ids)
                # A block that turns out to be gone was forgotten by now; there may be another with this hash.
                if found is None or all([self._ensure(block) for block in found]):
                    return found

        def touch(self, blocks: Sequence[Any]) -> None:
            for block in blocks:
                if block.ref_cnt == 0 and not block.is_null:
                    if not self._ensure(block):
                        raise RuntimeError("block {0} was evicted between its look-up and its use".format(block.block_id))
                    self._looked_up.discard(block.block_id)
                block.ref_cnt += 1
                if self.metrics_collector:
                    self.metrics_collector.on_block_accessed(block)

        def free_blocks(self, ordered_blocks: Iterable[Any]) -> None:
            for block in ordered_blocks:
                block.ref_cnt -= 1
                if block.ref_cnt == 0 and not block.is_null:
                    self._release(block)

        def evict_blocks(self, block_ids: Set[int]) -> None:
            super().evict_blocks(block_ids)
            for number in block_ids:
                self._give_back(number)

        def reset_prefix_cache(self) -> bool:
            self.begin_pass()
            if not super().reset_prefix_cache():
                return False
            for number in range(self.num_gpu_blocks):
                self._give_back(number)
            return True

        # -- parts ---------------------------------------------------------------------------------------------------------------------------

        def _ensure(self, block: Any) -> bool:
            number = block.block_id
            if not self.elastic.is_kept(number):
                return True
            if not self.elastic.take(number):
                return False
            self._looked_up.add(number)
            return True

        def _release(self, block: Any) -> None:
            """Nobody uses a block any more: kept when its content may be wanted again, else given back."""
            if block.block_hash is None:
                self.elastic.append(block.block_id)
            else:
                self.elastic.keep(block.block_id, tag_of(block.block_hash))

        def _give_back(self, number: int) -> None:
            """Gives a block back that is only kept; does nothing for others."""
            if self.elastic.is_kept(number) and self.elastic.take(number):
                self.elastic.append(number)

        def _forget(self, number: int) -> None:
            """A kept block was evicted: its hashes go, and who listens hears of it."""
            self._maybe_evict_cached_block(self.blocks[number])

    return ElasticBlockPool
