"""Session, pool and arena of one engine process: it is scheduler and worker in one."""

from __future__ import annotations

from typing import Any, List

from ... import _dlpack
from ...arena import Arena
from ...dtypes import dtype_of
from ...geometry import PoolSpec
from ...pool_facts import PoolOptions
from ...session import Session
from ..elastic_blocks import GROUP, ElasticBlocks
from ..errors import IntegrationError
from ..opening import close_in_order, open_pool
from ..steps import StepClock
from .layout import TRASH_BLOCKS, CacheShape, blocks_per_stride, flat_rows
from .settings import Settings
from .team import ALONE, Team, TeamPool

# The engine numbers its requests' blocks itself and knows nothing of a null block; what a predecessor tagged belongs to another model's weights, for all
# that is known.
_OPTIONS = PoolOptions(null_block=False, keep_tags=False)


class EngineMemory:
    """What an engine's cache lies in. Close it once nothing of it is used any more.

    :param shape: Shape of the cache.
    :param blocks: Blocks that the engine counts with.
    :param device: UUID of the GPU, or ``HOST-n``.
    :param team: The ranks that share the model; rank 0 has the pool.
    :ivar pool: None on other ranks than 0.
    :raises UnavailableError: The host can't be reached within the start timeout.
    :raises MemoryRefusedError: There is no memory for the first blocks.
    """

    def __init__(self, settings: Settings, shape: CacheShape, blocks: int, device: str, team: Team = ALONE) -> None:
        self.shape = shape
        self.clock = StepClock()
        self._opened: List[Any] = []
        places = team.gather((device, shape))
        devices = [place[0] for place in places]
        if any(place[1] != shape for place in places):
            raise IntegrationError("the ranks' caches differ in shape ({0}); leave kvcached off for this model.".format([place[1] for place in places]))
        name = team.broadcast(settings.pool_name)
        spec = PoolSpec(
            name, [shape.group(blocks)], devices, limit_bytes=settings.limit_bytes, floor_bytes=settings.floor_bytes, weight=settings.weight
        )
        try:
            self.pool: Any = None
            if team.leads:
                self.session = Session(settings.socket_of(device), name, domain=settings.domain, connect_timeout=settings.start_timeout)
                self._opened.append(self.session)
                self.pool = open_pool(self.session, spec, _OPTIONS, settings.start_timeout)
                self._opened.append(self.pool)
                self.pool.keep_events()
            self.arena = Arena(settings.socket_of(device), name, team.rank, device, attach_timeout=settings.start_timeout)
            self._opened.append(self.arena)
            tensors = [self.arena.tensor(GROUP, layer, buffer) for layer in range(shape.tensors) for buffer in range(2)]
            self.per_stride = blocks_per_stride(tensors[0].block_stride_bytes, shape.block_bytes)
            self._check(tensors)
            pool = self.pool if team.size == 1 else TeamPool(self.pool, team)
            self.elastic = ElasticBlocks(pool, self.per_stride, blocks, self.clock, settings.grow_timeout, team.now)
            # They stay until the end: the engine pads with them and never allocates them.
            self.trash = self.elastic.take_at_start(TRASH_BLOCKS, settings.start_timeout)
        except BaseException:
            self.close()
            raise

    def flat_buffer(self, layer: int, buffer: int, dtype: Any, device_index: int) -> _dlpack.Exporter:
        """For ``from_dlpack``: a layer's keys (0) or values (1) as the engine indexes them, of shape (tokens, heads, elements)."""
        tensor = self.arena.tensor(GROUP, layer, buffer)
        wanted = dtype_of(dtype)
        if not wanted.is_exact_in_dlpack:
            raise IntegrationError("a cache of {0} isn't supported; load the model in float32, float16 or bfloat16".format(wanted.name))
        heads, elements = self.shape.kv_heads, self.shape.head_elements
        return _dlpack.Exporter(
            address=tensor.address,
            is_on_gpu=not tensor.is_host_accessible,
            device_index=device_index,
            code=wanted.dlpack_code,
            item_bytes=wanted.item_bytes,
            shape=(flat_rows(tensor.block_count, self.per_stride, self.shape.block_size), heads, elements),
            strides=(heads * elements, elements, 1),
        )

    def close(self) -> None:
        """Gives everything back. More calls do nothing; what can't be closed because its host is gone is left to the end of the process."""
        close_in_order(self._opened)

    def _check(self, tensors: List[Any]) -> None:
        block_bytes = self.shape.block_bytes
        for tensor in tensors:
            end = tensor.address + (tensor.block_count - 1) * tensor.block_stride_bytes + block_bytes
            if tensor.block_bytes != block_bytes or tensor.block_stride_bytes != self.per_stride * block_bytes or end > self.arena.base_address + self.arena.byte_count:
                raise IntegrationError(
                    "layer {0} of the pool's arena has blocks of {1} bytes, {2} apart, where {3} and {4} were expected; is it open with another geometry?".format(
                        tensor.layer, tensor.block_bytes, tensor.block_stride_bytes, block_bytes, self.per_stride * block_bytes
                    )
                )
