"""SGLang's allocators of KV slots over pieces of a pool. The classes that they extend are given."""

from __future__ import annotations

import time
from typing import Any, List, Optional, Set, Type

from ...events import Shrink
from .buffers import PieceMemory

# Looking for pieces that are free as a whole reads a count back from the GPU.
_LOOK_SECONDS = 1.0


def elastic_allocator_class(base: Type[Any]) -> Type[Any]:
    """A subclass of ``base``, a slot allocator of SGLang with ``free_pages``, that has only the pages of pieces that are mapped."""

    class ElasticAllocator(base):  # type: ignore[misc, valid-type]
        """Hands out slots of mapped pieces. :meth:`want` maps more; :meth:`give_back` returns pieces of which nothing is in use."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            #: True while the engine compares its counts: pages of pieces that aren't mapped are free then.
            self.counts_all = False
            self._held: Set[int] = {0}
            self._looked_at = 0.0
            super().__init__(*arguments, **named)

        @property
        def memory(self) -> Optional[PieceMemory]:
            """None for KV pools that aren't elastic, such as a draft model's: they are served as ever."""
            return getattr(getattr(self._kvcache, "_post_capture_owner", None), "memory", None)

        @property
        def _last_page(self) -> int:
            return int(self.size // self.page_size)

        def clear(self) -> None:
            super().clear()
            memory = self.memory
            if memory is None:
                return
            if len(self._held) > 1:
                memory.elastic.extend(self._held - {0})
            self._held = {0}
            self.free_pages = self._ids([0])

        def available_size(self) -> int:
            size = int(super().available_size())
            memory = self.memory
            if memory is None or not self.counts_all:
                return size
            held = sum(len(memory.pieces.page_ids(piece, self._last_page)) for piece in self._held)
            return size + (self._last_page - held) * int(self.page_size)

        def want(self, tokens: int) -> bool:
            """Maps as many pieces as are missing for so many free tokens, and a page of room; False when there is no memory for them."""
            memory = self.memory
            missing = tokens + self.page_size - self.available_size()
            if memory is None or missing <= 0:
                return missing <= 0
            count = -(-missing // memory.pieces.tokens_per_piece)
            if not memory.elastic.reserve(count):
                return False
            taken = [memory.elastic.popleft() for _ in range(count)]
            self._held.update(taken)
            self.free_pages = self._joined(self.free_pages, self._ids(taken))
            return True

        def settle(self, tree_cache: Any, evict: Any, is_idle: bool) -> None:
            """Before each step is scheduled: gives way when the pool is asked to, first what is free and then what is only cached; and when nothing runs,
            what was free for a while."""
            memory = self.memory
            if memory is None:
                return
            memory.elastic.has_missed = False
            asked = sum(event.asked_pages - event.given_up_pages for event in memory.pool.poll_events() if isinstance(event, Shrink))
            now = time.monotonic()
            if asked > 0:
                given = self.give_back(0, asked)
                # What is cached lies scattered over pieces: it goes, oldest first, until enough pieces are free as a whole.
                while given < asked and tree_cache is not None and tree_cache.evictable_size() > 0:
                    evict(tree_cache, (asked - given) * memory.pieces.tokens_per_piece)
                    given += self.give_back(0, asked - given)
            elif is_idle and now - self._looked_at >= _LOOK_SECONDS:
                self._looked_at = now
                self.give_back(memory.settings.spare_tokens, len(self._held))

        def give_back(self, spare_tokens: int, most: int) -> int:
            """Returns up to ``most`` pieces of which nothing is in use, the last ones first, so long as ``spare_tokens`` stay free. Gives their number."""
            import torch

            memory = self.memory
            if memory is None or len(self._held) == 1 or not self.is_not_in_free_group:
                return 0
            if len(self.release_pages):
                self.merge_and_sort_free()
            of_piece = self.free_pages // memory.pieces.pages_per_piece
            counts = torch.bincount(of_piece, minlength=memory.pieces.count).tolist()
            room = self.available_size() - spare_tokens
            chosen: List[int] = []
            for piece in sorted(self._held - {0}, reverse=True):
                pages = len(memory.pieces.page_ids(piece, self._last_page))
                if len(chosen) >= most or room < pages * self.page_size:
                    break
                if counts[piece] == pages:
                    chosen.append(piece)
                    room -= pages * self.page_size
            if chosen:
                gone = torch.tensor(chosen, dtype=of_piece.dtype, device=of_piece.device)
                self.free_pages = self.free_pages[~torch.isin(of_piece, gone)]
                self._held.difference_update(chosen)
                memory.elastic.extend(chosen)
            return len(chosen)

        def _ids(self, pieces: List[int]) -> Any:
            import torch

            assert self.memory is not None
            ids = [page for piece in pieces for page in self.memory.pieces.page_ids(piece, self._last_page)]
            return torch.tensor(ids, dtype=torch.int64, device=self.device)

        @staticmethod
        def _joined(one: Any, other: Any) -> Any:
            import torch

            return torch.cat((one, other))

    return ElasticAllocator
