"""A worker process of an engine over kvcached, on one GPU: its listener thread maps and unmaps."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

_tensors: List[Any] = []


def context() -> bool:
    """What any engine's worker has: a CUDA context. Before anything of kvcached is there."""
    import torch

    torch.zeros(1, device="cuda:0")
    torch.cuda.synchronize()
    return True


def attach(rank: int, ranks: int, layers: int, page_bytes: int, virtual_pages: int) -> bool:
    from kvcached import vmm_ops
    from kvcached.integration.vllm.interfaces import init_kvcached

    init_kvcached(tp_rank=rank, world_size=ranks, is_worker=True, device="cuda:0")
    _tensors.extend(vmm_ops.create_kv_tensors(2 * virtual_pages * page_bytes, 2, "cuda:0", layers, 2))
    return True


def commands() -> Dict[str, Callable[..., Any]]:
    return {"context": context, "attach": attach}
