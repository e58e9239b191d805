"""Which pool a page allocator's pages come from."""

from __future__ import annotations

import os
from typing import Optional

from . import tp_ipc
from .pages import PageSource


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
    if (world_size > 1 or uses_worker_ipc) and os.path.exists(tp_ipc.get_worker_socket_path(0, pp_rank)):
        return tp_ipc.RemotePages(pp_rank, group_id)
    return None
