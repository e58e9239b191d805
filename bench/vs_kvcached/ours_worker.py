"""A worker process of an engine over our pools, on one GPU. Our library's own thread maps and unmaps; this one does nothing."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

_arenas: List[Any] = []


def context() -> bool:
    """What any engine's worker has: a CUDA context. Before anything of ours is there."""
    import torch

    torch.zeros(1, device="cuda:0")
    torch.cuda.synchronize()
    return True


def attach(socket: str, pool: str, rank: int, gpu: str) -> int:
    import kvcached_client as kvc

    arena = kvc.Arena(socket, pool, rank, gpu)
    _arenas.append(arena)
    return arena.byte_count


def stats() -> List[Dict[str, int]]:
    return [vars(arena.stats()) for arena in _arenas]


def commands() -> Dict[str, Callable[..., Any]]:
    return {"context": context, "attach": attach, "stats": stats}
