"""One pool for the ranks of a tensor-parallel engine.

Each rank of transformers has a scheduler of its own, and all make the same decisions, because they get the same requests in the same passes. So only rank 0 has
the pool; what it answers is told to all, and every rank goes on with the same blocks, the same refusals and the same evictions. A call that could answer
differently on two ranks is made by all of them at the same place.
"""

from __future__ import annotations

import time
from typing import Any, Callable, List, Optional, Sequence, Tuple

from ..errors import IntegrationError

_GROUPS = ("cpu_comm_group", "ingress_group")


class Team:
    """The ranks that share a model.

    :param rank: This process's rank, from 0.
    :param size: Ranks in all.
    :param broadcast: Gives every rank what rank 0 passes.
    :param gather: Gives every rank what all pass, by rank.
    """

    def __init__(self, rank: int, size: int, broadcast: Callable[[Any], Any], gather: Callable[[Any], List[Any]]) -> None:
        self.rank, self.size = rank, size
        self.broadcast, self.gather = broadcast, gather

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def now(self) -> float:
        """Seconds, of rank 0's clock."""
        return float(self.broadcast(time.monotonic() if self.leads else None))


#: An engine on one GPU.
ALONE = Team(0, 1, lambda value: value, lambda value: [value])


def team_of(helper: Any) -> Team:
    """The team of an engine's distributed helper.

    :raises IntegrationError: It has no group for messages between its processes.
    """
    size = int(getattr(helper, "tp_size", 1) or 1)
    if size == 1:
        return ALONE
    group = next((getattr(helper, name) for name in _GROUPS if getattr(helper, name, None) is not None), None)
    # A group of our own must be made by all processes alike, which is only known where they are all of this team.
    if group is None and getattr(helper, "world_size", 0) != size:
        raise IntegrationError("the engine's ranks have no group for messages between processes ({0}); install a release that this integration knows.".format(" or ".join(_GROUPS)))
    import torch.distributed as dist

    if group is None:
        group = dist.new_group(backend="gloo")
    root, rank = int(helper.tp_root_global_rank), int(helper.tp_local_rank)

    def broadcast(value: Any) -> Any:
        held = [value]
        dist.broadcast_object_list(held, src=root, group=group)
        return held[0]

    def gather(value: Any) -> List[Any]:
        held: List[Any] = [None] * size
        dist.all_gather_object(held, value, group=group)
        return held

    return Team(rank, size, broadcast, gather)


class TeamPool:
    """The calls of a pool that :class:`..elastic_blocks.ElasticBlocks` makes, for all ranks at once.

    A failure of a call that gives nothing back is told with the next that does, so that no rank waits for one that has ended.

    :param pool: The pool on rank 0; None elsewhere.
    """

    def __init__(self, pool: Optional[Any], team: Team) -> None:
        self._pool, self._team = pool, team
        self._failure: Optional[BaseException] = None

    # -- answers that all ranks need -------------------------------------------------------------------------------------------------------------

    def try_alloc(self, group: Any, count: int) -> Optional[List[int]]:
        return self._told(lambda pool: pool.try_alloc(group, count))  # type: ignore[no-any-return]

    def alloc_or_grow(self, group: Any, count: int, *, timeout: float) -> List[int]:
        return self._told(lambda pool: pool.alloc_or_grow(group, count, timeout=timeout))  # type: ignore[no-any-return]

    def take_cached(self, group: Any, blocks: Sequence[int], expected: Optional[Sequence[bytes]] = None) -> None:
        self._told(lambda pool: pool.take_cached(group, blocks, expected))

    def poll_events(self) -> List[Any]:
        return self._told(lambda pool: pool.poll_events())  # type: ignore[no-any-return]

    # -- calls without an answer -----------------------------------------------------------------------------------------------------------------

    def free(self, group: Any, blocks: Sequence[int], last_step: int) -> None:
        self._done(lambda pool: pool.free(group, blocks, last_step))

    def cache(self, group: Any, block: int, tag: bytes, last_step: int) -> None:
        self._done(lambda pool: pool.cache(group, block, tag, last_step))

    def _told(self, ask: Callable[[Any], Any]) -> Any:
        outcome: Optional[Tuple[Any, Optional[BaseException]]] = None
        if self._pool is not None:
            try:
                if self._failure is not None:
                    raise self._failure
                outcome = (ask(self._pool), None)
            except Exception as problem:
                outcome = (None, problem)
        answer, problem = self._team.broadcast(outcome)
        if problem is not None:
            raise problem
        return answer

    def _done(self, do: Callable[[Any], None]) -> None:
        if self._pool is None or self._failure is not None:
            return
        try:
            do(self._pool)
        except Exception as problem:
            self._failure = problem
