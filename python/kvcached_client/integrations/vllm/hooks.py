"""Which modules of vLLM are changed, and by what."""

from __future__ import annotations

from ..on_import import when_imported
from .engine_core import PoolOwner, change_engine_core
from .scheduling import change_coordinator, change_manager, change_scheduler
from .settings import Settings
from .worker import WorkerMemory, change_runner, change_second_runner, change_worker


def install(settings: Settings) -> PoolOwner:
    """Has vLLM's modules changed as they are imported; gives the owner of the pool that an engine core of this process opens."""
    owner, memory = PoolOwner(settings), WorkerMemory(settings)
    when_imported("vllm.v1.core.kv_cache_coordinator", lambda module: change_coordinator(module, owner))
    when_imported("vllm.v1.core.kv_cache_manager", change_manager)
    when_imported("vllm.v1.core.sched.scheduler", lambda module: change_scheduler(module, owner))
    when_imported("vllm.v1.engine.core", lambda module: change_engine_core(module, owner))
    when_imported("vllm.v1.worker.gpu_worker", lambda module: change_worker(module, memory))
    when_imported("vllm.v1.worker.gpu_model_runner", lambda module: change_runner(module, memory))
    when_imported("vllm.v1.worker.gpu.attn_utils", lambda module: change_second_runner(module, memory))
    return owner
