"""What a user decides about SGLang on Kvcached, from variables of the environment: SGLang passes it on to all its processes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Mapping, Optional

from ..settings import PoolSettings, read_settings

_SWITCH = "KVCACHED_SGLANG"


@dataclass(frozen=True)
class Settings(PoolSettings):
    """As :class:`..settings.PoolSettings`, and

    :ivar spare_tokens: Free tokens that an idle engine keeps mapped.
    """

    spare_tokens: int = 8192

    @property
    def pool_name(self) -> str:
        return self.pool or "sglang-{0}".format(os.getpid())


def from_environment(environment: Mapping[str, str] = os.environ) -> Optional[Settings]:
    """Settings of ``KVCACHED_SGLANG_SOCKET``, ``..._POOL`` and so on, one for each field; None unless ``KVCACHED_SGLANG`` is on.

    :raises ValueError: A variable is unknown or can't be read, or the socket isn't named.
    """
    return read_settings(Settings, _SWITCH, environment)
