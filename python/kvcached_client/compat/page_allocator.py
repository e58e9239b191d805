"""kvcached's page allocator: counts, a reserve of mapped pages, and a limit that may change; pages come from a pool."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Dict, List, Optional, Sequence, Set

from . import environment
from .internal_page import InternalPage
from .memory_info import MemoryInfo, segment_name
from .page_source import Broadcast, GroupSource
from .reserve_thread import PeriodicThread, ReserveThread

_WATCH_SECONDS = 0.1


class PageAllocator:
    """Pages of one group, by number. Thread-safe. Sizes are bytes; a page id stands for that page of all layers and buffers.

    There are never more pages than the memory size has room for; their ids are below the number of pages that the KV tensors have addresses for, which may be
    more.

    Where the group's KV tensors are in this process, its pool is asked; where workers are other processes, the worker of rank 0 is. Without either the
    broadcast callbacks map and unmap, as with kvcached.
    """

    def __init__(
        self,
        num_layers: int,
        mem_size_per_layer: int,
        page_size: int,
        world_size: int = 1,
        pp_rank: int = 0,
        async_sched: bool = False,
        contiguous_layout: bool = True,
        enable_page_prealloc: bool = True,
        num_kv_buffers: int = 2,
        group_id: int = 0,
        ipc_name: str = "",
    ) -> None:
        if min(num_layers, page_size, world_size, num_kv_buffers) < 1 or mem_size_per_layer < 0:
            raise ValueError("a page allocator of {0} layers, {1} buffers, {2} ranks and pages of {3} bytes can't be".format(
                num_layers, num_kv_buffers, world_size, page_size))
        settings = environment.read()
        self._page_bytes = page_size
        self._id_bytes = page_size * num_layers * num_kv_buffers
        self._layers_times_buffers = num_layers * num_kv_buffers
        self._has_prealloc = enable_page_prealloc
        self._total = mem_size_per_layer // page_size
        self._layer_bytes = mem_size_per_layer
        self._most_reserved = min(self._total, settings.max_reserved_pages)
        self._least_reserved = min(self._total, settings.min_reserved_pages)
        self._in_use: Set[int] = set()
        self._reserved: List[int] = []
        # Pages that are being taken from the source, and how many of them are for the reserve.
        self._coming = 0
        self._coming_to_reserve = 0
        self._changed = threading.Condition()
        self._source = GroupSource(group_id, world_size, pp_rank, self._id_bytes if contiguous_layout else page_size, lambda: self._total)
        self._resize_target = -1
        self._is_info_stale = False
        self._reserve_thread: Optional[ReserveThread] = None
        self._watcher: Optional[PeriodicThread] = None
        self._info = MemoryInfo(segment_name(ipc_name, group_id), mem_size_per_layer * self._layers_times_buffers)
        self._remove_info = weakref.finalize(self, _remove_if_own, self._info, os.getpid())

    # -- pages -------------------------------------------------------------------------------------------------------------------------------

    def alloc_page(self) -> InternalPage:
        """Takes a page out of the reserve, or else a new one.

        :raises RuntimeError: There is none left, or it can't be mapped; nothing was taken.
        """
        with self._changed:
            while not self._reserved:
                if len(self._in_use) + self._coming < self._total:
                    self._coming += 1
                    break
                if not self._coming:
                    raise RuntimeError("No free pages left: all {0} are in use".format(self._total))
                self._changed.wait()
            else:
                page = self._reserved.pop(0)
                self._in_use.add(page)
                self._wake_reserve()
                self._write_info()
                return InternalPage(page, self._page_bytes)
        try:
            (page,) = self._source.take(1)
        except BaseException:
            with self._changed:
                self._coming -= 1
                self._changed.notify_all()
            raise
        with self._changed:
            self._coming -= 1
            self._in_use.add(page)
            self._wake_reserve()
            self._write_info()
        return InternalPage(page, self._page_bytes)

    def free_page(self, page_id: int) -> None:
        self.free_pages([page_id])

    def free_pages(self, page_ids: Sequence[int]) -> None:
        """Gives pages back, all or none: into the reserve as far as it has room, the others to the pool.

        :raises RuntimeError: One of them isn't in use.
        """
        with self._changed:
            unknown = sorted(set(page_ids) - self._in_use)
            if unknown or len(set(page_ids)) != len(page_ids):
                raise RuntimeError("pages {0} are not in use, or named twice; none was freed".format(unknown or list(page_ids)))
            self._in_use.difference_update(page_ids)
            room = max(0, min(self._most_reserved, self._total - len(self._in_use)) - len(self._reserved))
            self._reserved.extend(page_ids[:room])
            self._write_info()
            self._changed.notify_all()
        self._source.give(page_ids[room:])

    def resize(self, new_mem_size: int) -> bool:
        """Sets how many pages there may be, from the bytes of one buffer of one layer. False, without any change, when more are in use."""
        with self._changed:
            pages = new_mem_size // self._page_bytes
            if pages < len(self._in_use) + self._coming - self._coming_to_reserve:
                return False
            self._total, self._layer_bytes = pages, new_mem_size
            given = self._drop_surplus()
            self._write_info()
            self._changed.notify_all()
        self._source.give(given)
        return True

    def trim(self) -> None:
        """Gives the reserve back."""
        with self._changed:
            given, self._reserved = self._reserved, []
            self._write_info()
        self._source.give(given)

    def reset_free_page_order(self) -> None:
        """Does nothing: the pool hands out the lowest pages first."""

    # -- counts ------------------------------------------------------------------------------------------------------------------------------

    def get_num_free_pages(self) -> int:
        return self._total - len(self._in_use)

    def get_num_inuse_pages(self) -> int:
        return len(self._in_use)

    def get_num_total_pages(self) -> int:
        return self._total

    def get_num_reserved_pages(self) -> int:
        return len(self._reserved)

    def get_page_state(self) -> Dict[str, int]:
        """All counts at one moment."""
        with self._changed:
            used = len(self._in_use)
            return {"total_pages": self._total, "free_pages": self._total - used, "inuse_pages": used, "reserved_pages": len(self._reserved)}

    def get_avail_physical_pages(self) -> int:
        """Pages that the pool is likely to grant besides the reserve; the reserve alone for a moment after a refusal."""
        source = self._source.find()
        with self._changed:
            # What is on its way into the reserve is neither the source's any more nor in the reserve yet.
            coming, room = self._coming_to_reserve, max(0, self._total - len(self._in_use) - len(self._reserved))
        return min(source.available() + coming, room)

    def get_page_id(self, block_id: int, block_mem_size: int) -> int:
        return block_id * block_mem_size // self._page_bytes

    def group_indices_by_page(self, indices: Sequence[int], block_mem_size: int) -> Dict[int, List[int]]:
        grouped: Dict[int, List[int]] = {}
        for index in indices:
            grouped.setdefault(index * block_mem_size // self._page_bytes, []).append(index)
        return grouped

    # -- the limit from outside --------------------------------------------------------------------------------------------------------------

    def check_and_get_resize_target(self, current_mem_size: int) -> int:
        """Bytes of one buffer of one layer that the command line wants, or -1 when they are these already."""
        total = self._info.total_bytes()
        wanted = -1 if total is None else total // self._layers_times_buffers
        return -1 if wanted == current_mem_size else wanted

    def get_resize_target(self) -> int:
        """As :meth:`check_and_get_resize_target`, as of a moment ago and without a system call."""
        return self._resize_target

    # -- threads and other processes ---------------------------------------------------------------------------------------------------------

    def start_prealloc_thread(self) -> None:
        """Fills the reserve and keeps it filled, if that was asked for; and watches the limit, which is watched in any case."""
        with self._changed:
            if self._watcher is None:
                self._watcher = PeriodicThread("kvcached-limit", _WATCH_SECONDS, weakref.WeakMethod(self._watch))
            if self._has_prealloc and self._reserve_thread is None:
                self._reserve_thread = ReserveThread(weakref.WeakMethod(self._refill))
                self._reserve_thread.wake()

    def stop_prealloc_thread(self) -> None:
        with self._changed:
            threads = [thread for thread in (self._watcher, self._reserve_thread) if thread is not None]
            self._watcher = self._reserve_thread = None
        for thread in threads:
            thread.stop()

    def set_broadcast_map_callback(self, callback: Broadcast) -> None:
        self._source.map_callback = callback

    def set_broadcast_unmap_callback(self, callback: Broadcast) -> None:
        self._source.unmap_callback = callback

    def set_use_worker_ipc(self, use_worker_ipc: bool) -> None:
        self._source.uses_worker_ipc = bool(use_worker_ipc)

    # -- inside ------------------------------------------------------------------------------------------------------------------------------

    def _refill(self) -> None:
        """Fills the reserve up to its least size. Only its thread calls this."""
        with self._changed:
            room = self._total - len(self._in_use) - len(self._reserved) - self._coming
            count = min(self._least_reserved - len(self._reserved), room)
            if count <= 0:
                return
            self._coming += count
            self._coming_to_reserve += count
        pages: List[int] = []
        given: List[int] = []
        try:
            if self._source.find().available() > 0:
                pages = self._source.take(count)
        except RuntimeError as problem:
            environment.log.info("%d pages can't be kept ready: %s", count, problem)
        finally:
            with self._changed:
                self._coming -= count
                self._coming_to_reserve -= count
                self._reserved.extend(pages)
                # The limit may have been lowered meanwhile.
                given = self._drop_surplus()
                self._write_info()
                self._changed.notify_all()
        self._source.give(given)

    def _drop_surplus(self) -> List[int]:
        """Takes out of the reserve what is above the limit, to be given back without the lock."""
        surplus = max(0, len(self._in_use) + self._coming - self._coming_to_reserve + len(self._reserved) - self._total)
        given, self._reserved = self._reserved[:surplus], self._reserved[surplus:]
        return given

    def _watch(self) -> None:
        self._resize_target = self.check_and_get_resize_target(self._layer_bytes)
        with self._changed:
            if self._is_info_stale:
                self._is_info_stale = False
                self._update_info()

    def _wake_reserve(self) -> None:
        if self._reserve_thread is not None and len(self._reserved) < self._least_reserved:
            self._reserve_thread.wake()

    def _write_info(self) -> None:
        """At once, or by the watcher, which spares each page some system calls."""
        if self._watcher is not None:
            self._is_info_stale = True
        else:
            self._update_info()

    def _update_info(self) -> None:
        self._info.update(len(self._in_use) * self._id_bytes, len(self._reserved) * self._id_bytes)


def _remove_if_own(info: MemoryInfo, process_id: int) -> None:
    """Not in a forked child, whose parent still uses it."""
    if os.getpid() == process_id:
        info.remove()
