"""The KV tensors of this process: one pool for each of kvcached's groups, and this worker's arena in it."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from .. import _dlpack
from ..arena import Arena
from ..devices import cuda_device_uuid
from ..errors import BadSpecError
from ..geometry import PoolSpec
from ..pool import Pool
from ..pool_facts import PoolOptions
from ..session import Session
from . import environment
from .layout import BASE_PAGE_BYTES, KvLayout, layout_of
from .pages import PoolPages

_DLPACK_SIGNED = 0
_CLOSING_SECONDS = 15.0
_RETRY_SECONDS = 0.02


@dataclass
class KvGroup:
    """A group with its memory in this process; ``pages`` is there where its pool was opened: in the worker of rank 0."""

    layout: KvLayout
    arena: Arena
    pages: Optional[PoolPages]
    session: Optional[Session]

    def close(self) -> None:
        if self.session is not None:
            self.session.close()
        self.arena.close()


class KvMemory:
    """What ``init_kvcached`` set up. Thread-safe."""

    def __init__(self, device: str, page_bytes: int, is_contiguous: bool) -> None:
        page_bytes = page_bytes or BASE_PAGE_BYTES
        if page_bytes < 1 or page_bytes % BASE_PAGE_BYTES:
            raise ValueError("pages of {0} bytes can't be: KVCACHED_PAGE_SIZE_MB must be a multiple of 2".format(page_bytes))
        self.device = device
        self.page_bytes = page_bytes
        self.is_contiguous = is_contiguous
        self._groups: Dict[int, KvGroup] = {}
        self._lock = threading.Lock()
        # Opening waits for other ranks, which meanwhile ask whether the tensors are there.
        self._opening = threading.Lock()

    def open(self, *, size: int, layers: int, buffers: int, group_id: int, is_unified: bool) -> KvGroup:
        """Opens the group's pool if this is rank 0, and attaches to it. A group that is there already is given again.

        :raises RuntimeError: It is there with another shape.
        """
        layout = layout_of(
            size=size, page_bytes=self.page_bytes, layers=layers, buffers=buffers, is_contiguous=self.is_contiguous, is_unified=is_unified
        )
        with self._opening:
            known = self.group(group_id)
            if known is None:
                known = self._open(layout, group_id)
                with self._lock:
                    self._groups[group_id] = known
            elif known.layout != layout:
                raise RuntimeError("group {0} has KV tensors of another shape already: {1}; wanted {2}".format(group_id, known.layout, layout))
            return known

    def group(self, group_id: int) -> Optional[KvGroup]:
        with self._lock:
            return self._groups.get(group_id)

    def close(self) -> None:
        with self._lock:
            groups, self._groups = list(self._groups.values()), {}
        for group in groups:
            group.close()

    def _open(self, layout: KvLayout, group_id: int) -> KvGroup:
        from . import tp_ipc

        settings = environment.read()
        rank, stage = tp_ipc.worker_place()
        device = device_name(self.device, rank)
        name = pool_name(tp_ipc.ipc_name(), stage, group_id)
        path = settings.socket_of(device)
        session = pool = None
        try:
            if rank == 0:
                gpus = [device] + tp_ipc.devices_of_others(world_size(), stage)
                session = Session(path, name, domain=settings.domain)
                options = PoolOptions(grow_ahead=False, null_block=False)
                pool = _open_pool(session, layout.spec(name, gpus, _limit_bytes(self.device, settings.gpu_utilization)), options)
            arena = Arena(path, name, rank, device, guard=settings.guard)
        except BaseException:
            if session is not None:
                session.close()
            raise
        try:
            layout.raw_tensors(arena)
            pages = PoolPages(pool, settings.ipc_timeout) if pool is not None else None
        except BaseException:
            if session is not None:
                session.close()
            arena.close()
            raise
        return KvGroup(layout, arena, pages, session)


def device_name(device: str, rank: int) -> str:
    """The name by which hosts know a device of PyTorch: ``cuda:1`` is a UUID, ``cpu`` is main memory, ``HOST-`` and the rank."""
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return "HOST-{0}".format(index or rank)
    if kind != "cuda":
        raise ValueError("device {0!r} is neither 'cuda' nor 'cpu'".format(device))
    if index:
        return cuda_device_uuid(int(index))
    import torch

    return cuda_device_uuid(torch.cuda.current_device())


def pool_name(ipc_name: str, stage: int, group_id: int) -> str:
    """The pool of a group: the same in all processes of an engine, and another for engines of one name on two machines."""
    machine = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
    tail = "-{0}-{1}-pp{2}-g{3}".format(machine, os.getuid(), stage, group_id)
    return "".join(letter if letter.isalnum() and letter.isascii() or letter in "-_" else "-" for letter in ipc_name)[: 64 - len(tail)] + tail


def world_size() -> int:
    """Tensor-parallel ranks of a stage, as kvcached's integration was told."""
    for engine in ("vllm", "sglang"):
        interfaces = sys.modules.get("kvcached.integration.{0}.interfaces".format(engine))
        if interfaces is not None and getattr(interfaces, "_kvcached_initialized", False):
            return int(getattr(interfaces, "_world_size"))
    return 1


def _open_pool(session: Session, spec: PoolSpec, options: PoolOptions) -> Pool:
    """Opens a pool, waiting for one of that name to end: an engine that sets itself up anew has just closed it, and its ranks may still be unmapping."""
    end = time.monotonic() + _CLOSING_SECONDS
    pause = threading.Event()
    while True:
        try:
            return session.open_pool(spec, options)
        except BadSpecError as problem:
            if problem.name != "KVC_REFUSED_NAME_IN_USE" or time.monotonic() >= end:
                raise
        pause.wait(_RETRY_SECONDS)


def _limit_bytes(device: str, utilization: float) -> int:
    """``KVCACHED_GPU_UTILIZATION`` of the GPU as the pool's limit; none on main memory."""
    if not device.startswith("cuda"):
        return 0
    import torch

    return int(torch.cuda.get_device_properties(torch.device(device)).total_memory * utilization)


def flat_tensors(group: KvGroup, item_bytes: int, device: str) -> List[Any]:
    """PyTorch tensors of whole numbers of so many bytes over the raw tensors, as kvcached's native module gives them.

    :raises ValueError: There is no such number.
    """
    import torch

    if item_bytes not in (1, 2, 4, 8):
        raise ValueError("elements of {0} bytes can't be; 1, 2, 4 or 8".format(item_bytes))
    is_on_gpu = not group.arena.is_host_accessible
    index = 0
    if is_on_gpu:
        torch.cuda.init()
        chosen = torch.device(device).index
        index = torch.cuda.current_device() if chosen is None else chosen
    return [
        torch.utils.dlpack.from_dlpack(
            _dlpack.Exporter(
                address=raw.address,
                is_on_gpu=is_on_gpu,
                device_index=index,
                code=_DLPACK_SIGNED,
                item_bytes=item_bytes,
                shape=[raw.byte_count // item_bytes],
                strides=[1],
            )
        )
        for raw in group.layout.raw_tensors(group.arena)
    ]
