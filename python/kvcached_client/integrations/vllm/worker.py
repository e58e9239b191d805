"""A worker's part: its sizes come from the GPU's total memory, its KV tensor lies in the arena of its rank, and it says when it has submitted a step."""

from __future__ import annotations

import functools
import math
import time
from types import ModuleType
from typing import Any, Dict, Optional

from ...arena import Arena
from ...devices import cuda_device_uuid
from ...errors import MemoryRefusedError
from ..elastic_blocks import GROUP
from ..errors import IntegrationError
from .engine_core import PLACE
from .scheduling import STEP
from .settings import Settings

_RETRY_SECONDS = 0.01


def device_name(device: Any) -> str:
    """What a pool calls a ``torch.device``: the UUID of a GPU, or ``HOST-n``."""
    return cuda_device_uuid(device.index or 0) if device.type == "cuda" else "HOST-{0}".format(device.index or 0)


class WorkerMemory:
    """The arena of this process's rank.

    :ivar arena: None until the KV cache is allocated.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.arena: Optional[Arena] = None

    def raw_tensors(self, config: Any, device: str) -> Dict[str, Any]:
        """The tensor of all layers, by layer: of shape (blocks * bytes of a block,), as int8, the way vLLM allocates one.

        :param config: A ``KVCacheConfig`` that says where the memory is.
        :param device: UUID of the GPU, or ``HOST-n``.
        :raises UnavailableError: Host or pool can't be reached within the start timeout.
        :raises MemoryRefusedError: There is no memory for the first block.
        """
        import torch

        place = getattr(config, PLACE)
        if self.arena is not None:
            self.arena.close()
        self.arena = Arena(self._settings.socket_of(device), place.pool, place.rank, device, attach_timeout=self._settings.start_timeout)
        self._wait_for_null_block()
        stride = config.kv_cache_tensors[0].block_stride
        blocks = self.arena.tensor(GROUP, 0, 0).torch(torch.int8, (stride,))[: config.num_blocks]
        flat = blocks.view(config.num_blocks * stride)
        return {name: flat for tensor in config.kv_cache_tensors for name in tensor.shared_by}

    def _wait_for_null_block(self) -> None:
        """The engine core asks for it at the same time; the warm-up that comes next reads it."""
        assert self.arena is not None
        deadline = time.monotonic() + self._settings.start_timeout
        while self.arena.stats().pages < 1:
            self.arena.check()
            if time.monotonic() >= deadline:
                raise MemoryRefusedError("no memory came for the first KV block within {0} s; see `kvctl explain`".format(self._settings.start_timeout))
            time.sleep(_RETRY_SECONDS)

    def step_done(self, output: Any, stream: Any) -> None:
        """All work of the step of a ``SchedulerOutput`` is submitted to the stream."""
        step = getattr(output, STEP, 0)
        if step and self.arena is not None:
            self.arena.step_done(step, stream)


def change_worker(module: ModuleType, memory: WorkerMemory) -> None:
    """``vllm.v1.worker.gpu_worker``."""
    worker: Any = module.Worker  # type: ignore[attr-defined]
    init_device, execute = worker.init_device, worker.execute_model

    def request_memory(init_snapshot: Any, cache_config: Any) -> int:
        """As vLLM's own, without asking how much is free: the KV cache takes none when it starts."""
        return math.ceil(init_snapshot.total_memory * cache_config.gpu_memory_utilization)

    @functools.wraps(init_device)
    def init_device_and_size(self: Any, *arguments: Any, **named: Any) -> Any:
        made = init_device(self, *arguments, **named)
        if self.cache_config.kv_cache_memory_bytes is None:  # what the user asked for stays the virtual size
            self.cache_config.kv_cache_memory_bytes = self.init_snapshot.total_memory
        return made

    @functools.wraps(execute)
    def execute_model(self: Any, scheduler_output: Any) -> Any:
        import torch

        answer = execute(self, scheduler_output)
        memory.step_done(scheduler_output, torch.cuda.current_stream(self.device))
        return answer

    def kvcached_device(self: Any) -> str:
        """UUID of this worker's GPU."""
        return device_name(self.device)

    module.request_memory = request_memory  # type: ignore[attr-defined]
    worker.init_device = init_device_and_size
    worker.execute_model = execute_model
    worker.kvcached_device = kvcached_device


def change_runner(module: ModuleType, memory: WorkerMemory) -> None:
    """``vllm.v1.worker.gpu_model_runner``, the first model runner."""
    runner: Any = module.GPUModelRunner  # type: ignore[attr-defined]
    allocate = runner._allocate_kv_cache_tensors

    @functools.wraps(allocate)
    def _allocate_kv_cache_tensors(self: Any, kv_cache_config: Any) -> Any:
        if not hasattr(kv_cache_config, PLACE):  # a few blocks for profiling
            return allocate(self, kv_cache_config)
        return memory.raw_tensors(kv_cache_config, device_name(self.device))

    runner._allocate_kv_cache_tensors = _allocate_kv_cache_tensors


def change_second_runner(module: ModuleType, memory: WorkerMemory) -> None:
    """``vllm.v1.worker.gpu.attn_utils``, of the second model runner."""
    allocate: Any = module._allocate_kv_cache  # type: ignore[attr-defined]

    @functools.wraps(allocate)
    def _allocate_kv_cache(kv_cache_config: Any, shared_layers: Any, device: Any) -> Any:
        if not hasattr(kv_cache_config, PLACE):
            return allocate(kv_cache_config, shared_layers, device)
        return memory.raw_tensors(kv_cache_config, device_name(device))

    module._allocate_kv_cache = _allocate_kv_cache  # type: ignore[attr-defined]
    change_reshaping(module)


def change_reshaping(module: ModuleType) -> None:
    """Both model runners make the layers' views by one function, which in sources before 0.25.0 mixed up the dimensions of packed tensors for backends that store
    heads before tokens. A view of another shape than was asked for would be read wrongly, so it ends the start.
    """
    reshape: Any = module._reshape_attention_kv_cache  # type: ignore[attr-defined]

    @functools.wraps(reshape)
    def _reshape_attention_kv_cache(kv_raw_tensor: Any, kv_cache_spec: Any, kv_cache_shape: Any, *others: Any) -> Any:
        view = reshape(kv_raw_tensor, kv_cache_spec, kv_cache_shape, *others)
        if tuple(view.shape) != tuple(kv_cache_shape):
            raise IntegrationError(
                "vLLM made a KV view of shape {0} where its attention backend asked for {1}: this release can't pack for that backend. Choose another "
                "(--attention-backend, or VLLM_KV_CACHE_LAYOUT=NHD), or leave kvcached off.".format(tuple(view.shape), tuple(kv_cache_shape))
            )
        return view

    module._reshape_attention_kv_cache = _reshape_attention_kv_cache  # type: ignore[attr-defined]
