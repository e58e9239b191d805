"""SGLang's KV buffers over an arena, in place of its own ``KvVmmBufferOwner``."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Type

from ... import _dlpack
from ...arena import Arena
from ...devices import cuda_device_uuid
from ...dtypes import dtype_of
from ...geometry import PoolSpec
from ...pool_facts import PoolOptions
from ...session import Session
from ..elastic_blocks import GROUP, ElasticBlocks
from ..errors import IntegrationError
from ..opening import close_in_order, open_pool
from ..steps import StepClock
from .pieces import Pieces, pieces_of
from .settings import Settings

_OPTIONS = PoolOptions(null_block=False, keep_tags=False)
# Piece 0 is among so many of the first, or not there.
_FIRST_PIECES = 8


class PieceMemory:
    """Session, pool of one rank and arena of an engine process: it is scheduler and worker in one.

    :ivar elastic: Its pieces, as blocks. Piece 0 is held for good: SGLang writes its padding to slot 0.
    :param device: UUID of the GPU, or ``HOST-n``.
    :raises UnavailableError: The host can't be reached within the start timeout.
    :raises MemoryRefusedError: There is no memory for the first piece.
    """

    def __init__(self, settings: Settings, pieces: Pieces, device: str) -> None:
        self.settings, self.pieces = settings, pieces
        self._opened: List[Any] = []
        name, socket, timeout = settings.pool_name, settings.socket_of(device), settings.start_timeout
        spec = PoolSpec(
            name, [pieces.group()], [device], layout="per_layer", limit_bytes=settings.limit_bytes, floor_bytes=settings.floor_bytes, weight=settings.weight
        )
        try:
            self._opened.append(Session(socket, name, domain=settings.domain, connect_timeout=timeout))
            self.pool = open_pool(self._opened[0], spec, _OPTIONS, timeout)
            self._opened.append(self.pool)
            self.pool.keep_events()
            self.arena = Arena(socket, name, 0, device, attach_timeout=timeout)
            self._opened.append(self.arena)
            # SGLang launches a batch before it schedules the next, from the same thread: all that uses a piece was submitted when it is given back.
            self.elastic = ElasticBlocks(self.pool, 1, pieces.count - 1, StepClock(), settings.grow_timeout)
            if not self.elastic.take_block_0(_FIRST_PIECES, timeout):
                raise IntegrationError("block 0, where SGLang writes its padding, is none of the pool's first; is another engine using this pool?")
        except BaseException:
            self.close()
            raise

    def exporter(self, layer: int, buffer: int, dtype: Any, shape: Sequence[int], device_index: int) -> _dlpack.Exporter:
        """For ``from_dlpack``: a layer's keys (0) or values (1), in SGLang's shape, in one piece."""
        tensor = self.arena.tensor(GROUP, layer, buffer)
        if tensor.block_stride_bytes != tensor.block_bytes:
            raise IntegrationError("blocks of the arena lie {0} bytes apart instead of {1}; is it open with another layout?".format(tensor.block_stride_bytes, tensor.block_bytes))
        wanted = dtype_of(dtype)
        exact = wanted if wanted.is_exact_in_dlpack else dtype_of("uint8")
        strides: List[int] = []
        step = 1
        for size in reversed(shape):
            strides.insert(0, step)
            step *= size
        if step * exact.item_bytes > tensor.block_bytes * tensor.block_count or exact.item_bytes != wanted.item_bytes:
            raise IntegrationError("a buffer of shape {0} in {1} doesn't fit its part of the arena; leave kvcached off for this model.".format(tuple(shape), wanted.name))
        return _dlpack.Exporter(
            address=tensor.address, is_on_gpu=not tensor.is_host_accessible, device_index=device_index, code=exact.dlpack_code, item_bytes=exact.item_bytes,
            shape=tuple(shape), strides=strides,
        )  # fmt: skip

    def close(self) -> None:
        """Gives everything back. More calls do nothing."""
        close_in_order(self._opened)


def elastic_owner_class(settings: Settings) -> Type[Any]:
    """The class to put in place of SGLang's ``KvVmmBufferOwner``."""

    class ElasticBufferOwner:
        """Owns the buffers. They are backed piece by piece as the allocator takes pieces, and not by prefix: :meth:`ensure_prefix` and :meth:`finalize`
        only check what they are asked.

        :ivar tensors: In the order of ``buffer_descs``.
        """

        def __init__(self, *, device: str, device_id: int, store_dtype: Any, page_size: int, reserved_num_tokens: int, buffer_descs: Sequence[Any]) -> None:
            import torch

            pieces = pieces_of(buffer_descs, dtype_of(store_dtype).item_bytes, page_size)
            is_on_gpu = torch.device(device).type == "cuda"
            self.memory: Optional[PieceMemory] = PieceMemory(settings, pieces, cuda_device_uuid(device_id) if is_on_gpu else "HOST-{0}".format(device_id))
            self._reserved_tokens = reserved_num_tokens
            self.tensors: List[Any] = []
            for number, description in enumerate(buffer_descs):
                buffer, layer = divmod(number, pieces.layers)
                exporter = self.memory.exporter(layer, buffer, store_dtype, description.shape, device_id)
                tensor = torch.utils.dlpack.from_dlpack(exporter)
                self.tensors.append(tensor if tensor.dtype == store_dtype else tensor.view(store_dtype))

        def ensure_prefix(self, num_tokens: int) -> None:
            if not 0 <= num_tokens <= self._reserved_tokens:
                raise ValueError("{0} tokens aren't within the {1} that are reserved".format(num_tokens, self._reserved_tokens))

        def finalize(self, final_num_tokens: int) -> None:
            self.ensure_prefix(final_num_tokens)

        def release_beyond(self, num_tokens: int) -> int:
            """The allocator gives pieces back by itself."""
            self.ensure_prefix(num_tokens)
            return 0

        @property
        def backed_bytes(self) -> int:
            return self.memory.pool.rank_bytes(0)[0] if self.memory is not None else 0

        def close(self) -> None:
            self.tensors = []
            if self.memory is not None:
                self.memory.close()
                self.memory = None

    return ElasticBufferOwner
