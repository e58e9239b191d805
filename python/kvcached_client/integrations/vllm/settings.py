"""What a user decides about vLLM on Kvcached, from variables of the environment: vLLM passes it on to all its processes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Mapping, Optional

from ..settings import PoolSettings, read_settings

_SWITCH = "KVCACHED_VLLM"


@dataclass(frozen=True)
class Settings(PoolSettings):
    """As :class:`..settings.PoolSettings`. With more than one GPU, ``socket`` must contain ``{device}``."""

    def pool_name(self, data_parallel_rank: int = 0) -> str:
        """Name of the pool of one engine core; each data-parallel one has its own."""
        name = self.pool or "vllm-{0}".format(os.getpid())
        return name if data_parallel_rank == 0 else "{0}-dp{1}".format(name, data_parallel_rank)


def from_environment(environment: Mapping[str, str] = os.environ) -> Optional[Settings]:
    """Settings of ``KVCACHED_VLLM_SOCKET``, ``..._POOL`` and so on, one for each field; None unless ``KVCACHED_VLLM`` is on.

    :raises ValueError: A variable is unknown or can't be read, or the socket isn't named.
    """
    return read_settings(Settings, _SWITCH, environment)
