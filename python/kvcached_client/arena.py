"""The memory of one rank of a pool in an engine's worker."""

from __future__ import annotations

import ctypes
import weakref
from dataclasses import dataclass, fields
from types import TracebackType
from typing import List, Optional, Type, Union

from . import _abi
from ._library import Library, library, milliseconds
from .events import Event, EventQueue
from .tensors import Tensor

_NAME_BYTES = 257
_GUARDS = {None: 0, "zero": 1}


@dataclass(frozen=True)
class ArenaStats:
    """Counts of an arena; see ``kvc_arena_stats``."""

    extents: int
    pages: int
    mapped_bytes: int
    descriptors: int
    leaving_extents: int
    stuck_extents: int
    connections: int
    completed_step: int
    operations: int
    refusals: int


def _close(lib: Library, handle: int, timeout_ms: int) -> None:
    lib.kvc_close_arena(handle, timeout_ms)


class Arena:
    """Attaches this process to a rank of a pool and reserves its address range; waits until the scheduler has opened the pool.

    Waits too until all is mapped that the pool holds by then: a worker that takes the place of another may use the blocks of its scheduler at once.
    Pages that are granted later are mapped by the library's own thread, before the scheduler hands out their blocks. Close it, or use it in ``with``; its tensors must not
    be used afterwards.

    :param socket_path: Engine socket of the host of this worker's GPU.
    :param pool_name: Name of the pool.
    :param rank: This worker's rank.
    :param device: UUID of the GPU (:func:`cuda_device_uuid`), or ``HOST-n``; as in the pool's spec.
    :param attach_timeout: Seconds to wait for host and pool.
    :param reattach_timeout: Seconds that a restarted host may be away before the pool counts as gone.
    :param detach_timeout: Seconds that work may hold up closing.
    :param guard: ``"zero"`` to read zeroes where nothing is mapped, at a cost (docs/engines.md); None for a fault. Writing there faults in either case.
    """

    def __init__(
        self,
        socket_path: str,
        pool_name: str,
        rank: int,
        device: str,
        *,
        attach_timeout: float = 60.0,
        reattach_timeout: float = 60.0,
        detach_timeout: float = 10.0,
        guard: Optional[str] = None,
    ) -> None:
        if guard not in _GUARDS:
            raise ValueError("guard is {0!r}; 'zero' or None".format(guard))
        lib = library()
        options = _abi.AttachOptions(
            struct_bytes=ctypes.sizeof(_abi.AttachOptions),
            rank=rank,
            socket_path=socket_path.encode("utf-8"),
            pool_name=pool_name.encode("utf-8"),
            device=device.encode("utf-8"),
            attach_timeout_ms=max(1, milliseconds(attach_timeout)),
            reattach_timeout_ms=max(1, milliseconds(reattach_timeout)),
            detach_timeout_ms=max(1, milliseconds(detach_timeout)),
            guard=_GUARDS[guard],
        )
        handle = _abi.Handle()
        lib.check(lib.kvc_attach_rank(ctypes.byref(options), ctypes.byref(handle)))
        self._lib = lib
        self._handle = handle.value
        self._detach_ms = options.detach_timeout_ms
        self._finalizer = weakref.finalize(self, _close, lib, handle.value, options.detach_timeout_ms)
        self._events = EventQueue(handle.value)

        info = _abi.ArenaInfo()
        lib.check(lib.kvc_arena_get_info(self._handle, ctypes.byref(info)))
        #: Address of the range: a device pointer, or an address in this process.
        self.base_address: int = info.base_address
        #: Bytes of the range; memory is taken only where pages are mapped.
        self.byte_count: int = info.byte_count
        #: True on main memory: tensors can be NumPy arrays.
        self.is_host_accessible = bool(info.is_host_accessible)
        self.rank: int = info.rank
        #: Names of the KV groups, in the pool's order.
        self.group_names: List[str] = [self._name_of(group) for group in range(info.group_count)]
        #: One per KV group, layer and buffer, in this order.
        self.tensors: List[Tensor] = [self._tensor(index) for index in range(info.tensor_count)]

    def tensor(self, group: Union[int, str], layer: int, buffer: int = 0) -> Tensor:
        """One buffer of one layer: 0 keys and 1 values, or 0 alone."""
        index = group if isinstance(group, int) else self.group_names.index(group)
        for found in self.tensors:
            if (found.group, found.layer, found.buffer) == (index, layer, buffer):
                return found
        raise ValueError("rank {0} has no buffer {1} of layer {2} in KV group {3!r}".format(self.rank, buffer, layer, group))

    def step_done(self, step: int, stream: object = None) -> None:
        """Says that all work of an engine step, and of those before it, is complete; or, with a CUDA stream, is submitted to that stream. Never waits.

        :param stream: A ``torch.cuda.Stream``, or the number of a ``CUstream``; None when the work is complete.
        """
        if stream is None:
            self._lib.check(self._lib.kvc_step_done(self._handle, step))
        else:
            self._lib.check(self._lib.kvc_step_done_on_stream(self._handle, step, getattr(stream, "cuda_stream", stream)))

    @property
    def is_attached(self) -> bool:
        """True while the host is connected. Without it the memory stays mapped and usable."""
        attached = ctypes.c_int32()
        self._lib.kvc_arena_state(self._handle, ctypes.byref(attached))
        return bool(attached.value)

    def check(self) -> None:
        """Raises why the pool is gone; does nothing while it is there."""
        self._lib.check(self._lib.kvc_arena_state(self._handle, None))

    def stats(self) -> ArenaStats:
        native = _abi.ArenaStats()
        self._lib.check(self._lib.kvc_arena_get_stats(self._handle, ctypes.byref(native)))
        return ArenaStats(*[getattr(native, field.name) for field in fields(ArenaStats)])

    def keep_events(self, capacity: int = 16) -> None:
        """Keeps events for :meth:`poll_events`: an arena has only :class:`PoolGone`."""
        self._events.keep(capacity)

    def poll_events(self, timeout: Optional[float] = 0.0) -> List[Event]:
        """Events since the last call; waits for the first at most ``timeout`` seconds, without end when None."""
        return self._events.poll(timeout)

    @property
    def is_closed(self) -> bool:
        return not self._finalizer.alive

    def close(self) -> None:
        """Waits for submitted work, unmaps everything and leaves. More calls do nothing."""
        if self._finalizer.detach() is not None:
            self._lib.check(self._lib.kvc_close_arena(self._handle, self._detach_ms))

    def __enter__(self) -> "Arena":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], problem: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _name_of(self, group: int) -> str:
        name = ctypes.create_string_buffer(_NAME_BYTES)
        self._lib.check(self._lib.kvc_arena_group_name(self._handle, group, name, _NAME_BYTES, None))
        return name.value.decode("utf-8")

    def _tensor(self, index: int) -> Tensor:
        info = _abi.TensorInfo()
        self._lib.check(self._lib.kvc_arena_tensor(self._handle, index, ctypes.byref(info)))
        return Tensor(
            group=info.group,
            group_name=self.group_names[info.group],
            layer=info.layer,
            buffer=info.buffer,
            tokens_per_block=info.tokens_per_block,
            address=self.base_address + info.offset_bytes,
            block_bytes=info.block_bytes,
            block_stride_bytes=info.block_stride_bytes,
            block_count=info.block_count,
            is_host_accessible=self.is_host_accessible,
        )
