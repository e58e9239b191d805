"""Which pool a page allocator's pages come from."""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Sequence

from . import tp_ipc
from .pages import NumberedPages, PageSource

Broadcast = Callable[[int, List[int]], Any]


def find_source(group_id: int, world_size: int, pp_rank: int, uses_worker_ipc: bool) -> Optional[PageSource]:
    """The group's pool in this process, or in the worker of rank 0; None when there are neither KV tensors nor workers.

    :raises RuntimeError: Each of several ranks schedules for itself.
    """
    from . import vmm_ops

    has_tensors = vmm_ops.kv_tensors_created(group_id)
    if has_tensors and world_size == 1:
        return vmm_ops.own_pages(group_id)
    if has_tensors and not uses_worker_ipc:
        raise RuntimeError(
            "{0} ranks that each have a scheduler of their own can't share a pool: run SGLang with a tensor-parallel size of 1, or without {1}".format(
                world_size, "KVCACHED_ENGINE_SOCKET"
            )
        )
    if (world_size > 1 or uses_worker_ipc) and tp_ipc.is_worker_there(0, pp_rank):
        return tp_ipc.RemotePages(pp_rank, group_id)
    return None


class GroupSource:
    """Takes and gives pages of a group where they come from, which is found out by the first call. Without tensors and workers, pages are numbers, and the
    broadcast callbacks map and unmap them, as with kvcached.

    :param offset_stride: Bytes between two pages' offsets, as the callbacks are told them.
    :param total: Gives how many pages there may be.
    """

    def __init__(self, group_id: int, world_size: int, pp_rank: int, offset_stride: int, total: Callable[[], int]) -> None:
        self._group_id, self._world_size, self._pp_rank = group_id, world_size, pp_rank
        self._offset_stride, self._total = offset_stride, total
        self._found: Optional[PageSource] = None
        self._is_mapped_by_callback = False
        self.map_callback: Optional[Broadcast] = None
        self.unmap_callback: Optional[Broadcast] = None
        self.uses_worker_ipc = False

    def find(self) -> PageSource:
        """:raises RuntimeError: Each of several ranks schedules for itself."""
        if self._found is None:
            found = find_source(self._group_id, self._world_size, self._pp_rank, self.uses_worker_ipc)
            self._is_mapped_by_callback = found is None
            self._found = NumberedPages(self._total()) if found is None else found
        return self._found

    def take(self, count: int) -> List[int]:
        """Pages, mapped on all ranks.

        :raises RuntimeError: There are none, or they can't be mapped; none was taken.
        """
        source = self.find()
        pages = source.take(count)
        if self._is_mapped_by_callback:
            try:
                self._call_back(self.map_callback, pages, "map")
            except BaseException:
                source.give(pages)
                raise
        return pages

    def give(self, pages: Sequence[int]) -> None:
        if pages:
            if self._is_mapped_by_callback:
                self._call_back(self.unmap_callback, pages, "unmap")
            self.find().give(list(pages))

    def _call_back(self, callback: Optional[Broadcast], pages: Sequence[int], what: str) -> None:
        if callback is None or not (self._world_size > 1 or self.uses_worker_ipc):
            raise RuntimeError("Failed to {0} pages: group {1} has no KV tensors".format(what, self._group_id))
        callback(self._world_size, [page * self._offset_stride for page in pages])
