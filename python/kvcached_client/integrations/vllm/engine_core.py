"""The engine core's part: plans the KV cache in vLLM's packed layout and opens the pool for it, before workers allocate."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from types import ModuleType
from typing import Any, List, Optional

from ...errors import KvcachedError
from ...geometry import Group, PoolSpec
from ...pool_facts import PoolOptions
from ...session import Session
from ..elastic_blocks import ElasticBlocks
from ..errors import IntegrationError
from ..opening import close_in_order, open_pool
from ..steps import StepClock
from .packing import pack
from .settings import Settings

#: Attribute of a ``KVCacheConfig``: the :class:`PoolPlace` of the worker that it is for.
PLACE = "kvcached"
_OPTIONS = PoolOptions(null_block=False, keep_tags=False)
# Block 0 is in one of so many of the first pages, or not there.
_FIRST_PAGES = 8
_NOT_SERVED = (
    ("speculative_config", "speculative decoding"),
    ("kv_transfer_config", "KV transfer connectors"),
)


@dataclass(frozen=True)
class PoolPlace:
    """Tells a worker where its memory is.

    :ivar pool: Name of the pool.
    :ivar rank: The worker's rank in it.
    """

    pool: str
    rank: int


class SchedulerMemory:
    """Session, pool and blocks of one engine core.

    :param devices: UUIDs of the workers' GPUs by rank.
    """

    def __init__(self, settings: Settings, name: str, group: Group, devices: List[str]) -> None:
        self.clock = StepClock()
        self._settings = settings
        self._blocks_per_page = group.page_bytes // group.block_bytes
        self._opened: List[Any] = []
        spec = PoolSpec(name, [group], devices, limit_bytes=settings.limit_bytes, floor_bytes=settings.floor_bytes, weight=settings.weight)
        try:
            self._opened.append(Session(settings.socket_of(devices[0]), name, domain=settings.domain, connect_timeout=settings.start_timeout))
            self.pool = open_pool(self._opened[0], spec, _OPTIONS, settings.start_timeout)
            self._opened.append(self.pool)
            self.pool.keep_events()
        except BaseException:
            self.close()
            raise
        self.elastic = ElasticBlocks(self.pool, 1, 0, self.clock, settings.grow_timeout)
        self._failure: Optional[BaseException] = None
        # vLLM pads with block 0, from the workers' warm-up on, which comes within the very call that has them allocate.
        self._starter = threading.Thread(target=self._take_null_block, name="kvcached-start", daemon=True)
        self._starter.start()

    def _take_null_block(self) -> None:
        try:
            if not self.elastic.take_block_0(_FIRST_PAGES * self._blocks_per_page, self._settings.start_timeout):
                raise IntegrationError("block 0, with which vLLM pads, is none of the pool's first; is another engine using this pool?")
        except BaseException as problem:
            self._failure = problem

    def require_started(self) -> None:
        """Waits for the first block.

        :raises KvcachedError: It didn't come.
        """
        self._starter.join()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Gives everything back. More calls do nothing."""
        close_in_order(self._opened)


class PoolOwner:
    """The pool of this process, if it is an engine core.

    :ivar memory: None until the KV cache is planned, and for models without one.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.memory: Optional[SchedulerMemory] = None
        self.executor: Any = None

    def require_served(self, vllm_config: Any) -> None:
        """:raises IntegrationError: The engine is set up for something that isn't served."""
        asked = [words for name, words in _NOT_SERVED if getattr(vllm_config, name, None) is not None]
        if getattr(vllm_config.model_config, "enable_sleep_mode", False):
            asked.append("sleep mode")
        if asked:
            raise IntegrationError("{0} isn't supported on Kvcached yet; start vLLM without it, or leave kvcached off.".format(" and ".join(asked)))

    def open(self, vllm_config: Any, configs: List[Any]) -> None:
        """Packs the workers' configurations, opens the pool for them and says so in them."""
        shapes = [pack(config) for config in configs]
        if len({(shape, config.num_blocks) for shape, config in zip(shapes, configs)}) != 1:
            raise IntegrationError("the pipeline stages' KV blocks differ ({0}); give each stage as many layers, or leave kvcached off.".format(shapes))
        devices = self.executor.collective_rpc("kvcached_device")
        if len(devices) > 1 and self.settings.socket_of(devices[0]) == self.settings.socket_of(devices[-1]):
            raise IntegrationError("KVCACHED_VLLM_SOCKET is the same for all of {0} GPUs; put {{device}} into it where the UUID of the GPU belongs.".format(len(devices)))
        tokens = min(group.kv_cache_spec.block_size for group in configs[0].kv_cache_groups)
        name = self.settings.pool_name(getattr(vllm_config.parallel_config, "data_parallel_rank", 0) or 0)
        self.memory = SchedulerMemory(self.settings, name, shapes[0].group(configs[0].num_blocks, tokens), devices)
        for rank, config in enumerate(configs):
            setattr(config, PLACE, PoolPlace(name, rank))

    def close(self) -> None:
        if self.memory is not None:
            self.memory.close()
            self.memory = None


def change_engine_core(module: ModuleType, owner: PoolOwner) -> None:
    """``vllm.v1.engine.core``: opens the pool between planning and allocating, and closes it at the end."""
    core: Any = module.EngineCore  # type: ignore[attr-defined]
    plan: Any = module.get_kv_cache_configs  # type: ignore[attr-defined]
    initialize, end = core._initialize_kv_caches, core.shutdown

    def get_kv_cache_configs(vllm_config: Any, kv_cache_specs: Any, available_memory: Any) -> List[Any]:
        configs = plan(vllm_config, kv_cache_specs, available_memory)
        if owner.executor is not None and any(kv_cache_specs):
            owner.open(vllm_config, configs)
        return configs

    @functools.wraps(initialize)
    def _initialize_kv_caches(self: Any, vllm_config: Any) -> Any:
        owner.require_served(vllm_config)
        owner.executor = self.model_executor
        try:
            made = initialize(self, vllm_config)
            if owner.memory is not None:
                owner.memory.require_started()
            return made
        except BaseException:
            owner.close()
            raise
        finally:
            owner.executor = None

    @functools.wraps(end)
    def shutdown(self: Any) -> None:
        try:
            owner.close()
        except KvcachedError:
            pass
        finally:
            end(self)

    module.get_kv_cache_configs = get_kv_cache_configs  # type: ignore[attr-defined]
    core._initialize_kv_caches = _initialize_kv_caches
    core.shutdown = shutdown
