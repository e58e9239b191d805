"""What a user decides about transformers on Kvcached: arguments of ``enable``, or variables of the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Mapping, Optional

from ..settings import PoolSettings, is_on, read_settings

_SWITCH = "KVCACHED_TRANSFORMERS"


@dataclass(frozen=True)
class Settings(PoolSettings):
    """How the paged cache gets its memory: besides the fields of :class:`..settings.PoolSettings`,

    :ivar virtual_blocks: Blocks that the engine's scheduler counts with, unless its own configuration sets ``num_blocks``; default: as many as the whole
        GPU could hold, whatever is free now.
    :ivar max_batch_tokens: Tokens of a step, unless the engine's configuration sets them; 0 = 512 with an attention mask, else 8192.
    """

    virtual_blocks: int = 0
    max_batch_tokens: int = 0

    @property
    def pool_name(self) -> str:
        return self.pool or "transformers-{0}".format(os.getpid())


def is_switched_on(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether ``KVCACHED_TRANSFORMERS`` is set to 1, true, yes or on."""
    return is_on(_SWITCH, environment)


def from_environment(environment: Mapping[str, str] = os.environ) -> Optional[Settings]:
    """Settings of ``KVCACHED_TRANSFORMERS_SOCKET``, ``..._POOL`` and so on, one for each field; None unless switched on.

    :raises ValueError: A variable is unknown or can't be read, or the socket isn't named.
    """
    return read_settings(Settings, _SWITCH, environment)
