"""The module ``kvcached.vmm_ops``: the same functions and classes, over pools of Kvcached.

Differences that can be seen: bad arguments raise instead of ending the process; a page that isn't in use is unmapped, so that stray writes to it fault instead of
landing in a page that all share (stray reads find zeroes, unless ``KVCACHED_GUARD=none``); and page ids are the pool's choice, beginning with 0.
"""

from __future__ import annotations

import atexit
from typing import Any, List, Optional, Sequence

from . import environment, tp_ipc
from .internal_page import InternalPage
from .kv_memory import KvMemory, device_name, flat_tensors
from .page_allocator import PageAllocator
from .pages import PoolPages

__all__ = [
    "InternalPage",
    "PageAllocator",
    "create_kv_tensors",
    "init_kvcached",
    "kv_tensors_created",
    "map_to_kv_tensors",
    "shutdown_kvcached",
    "unmap_from_kv_tensors",
]

_memory: Optional[KvMemory] = None


def init_kvcached(dev_str: str, page_size: int = 0, contiguous_layout: bool = True) -> None:
    """Chooses device, page size (bytes; 0 = 2 MiB) and layout. A second call drops all KV tensors of the first.

    :raises ValueError: The page size is no multiple of 2 MiB.
    """
    global _memory
    fresh = KvMemory(dev_str, page_size, contiguous_layout)
    shutdown_kvcached()
    _memory = fresh


def shutdown_kvcached() -> None:
    """Unmaps all and returns the memory; tensors that were handed out must not be used any more."""
    global _memory
    memory, _memory = _memory, None
    if memory is not None:
        memory.close()


def create_kv_tensors(
    size: int, dtype_size: int, dev_str: str, num_layers: int, num_kv_buffers: int = 2, group_id: int = 0, unified_pool: bool = False
) -> List[Any]:
    """Reserves a group's addresses and gives flat tensors over them: one, or one per layer; see :mod:`kvcached_client.compat.layout`.

    :param size: Bytes of a layer, over all its buffers.
    :param dtype_size: Bytes of an element, which is a whole number.
    """
    if _memory is None:
        raise RuntimeError("init_kvcached() comes before create_kv_tensors()")
    group = _memory.open(size=size, layers=num_layers, buffers=num_kv_buffers, group_id=group_id, is_unified=unified_pool)
    return flat_tensors(group, dtype_size, _memory.device)


def kv_tensors_created(group_id: int = 0) -> bool:
    """Whether a group has its tensors, and, in the worker of rank 0, all its ranks too."""
    return _memory is not None and _memory.group(group_id) is not None


def map_to_kv_tensors(offsets: Sequence[int], group_id: int = 0) -> bool:
    """Checks that there are pages at these offsets. They are mapped from the time they are taken from the pool. False without tensors.

    :raises ValueError: There is no page at an offset.
    """
    group = _memory.group(group_id) if _memory is not None else None
    if group is None:
        environment.log.error("pages of group %s can't be mapped before its KV tensors are created", group_id)
        return False
    for offset in offsets:
        group.layout.page_of(offset)
    group.arena.check()
    return True


def unmap_from_kv_tensors(offsets: Sequence[int], group_id: int = 0) -> bool:
    """As :func:`map_to_kv_tensors`: giving pages back to the pool is what unmaps them."""
    return map_to_kv_tensors(offsets, group_id)


def own_pages(group_id: int) -> PoolPages:
    """The pages of a pool that this process opened.

    :raises RuntimeError: It opened none for that group.
    """
    group = _memory.group(group_id) if _memory is not None else None
    if group is None or group.pages is None:
        raise RuntimeError("this process has not opened a pool for group {0}".format(group_id))
    return group.pages


def own_device() -> str:
    """The name by which hosts know this worker's device."""
    if _memory is None:
        raise RuntimeError("init_kvcached() was not called")
    return device_name(_memory.device, tp_ipc.worker_place()[0])


atexit.register(shutdown_kvcached)
