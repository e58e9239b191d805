"""What a user decides about transformers on Kvcached: arguments of ``enable``, or variables of the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Mapping, Optional

_SWITCH = "KVCACHED_TRANSFORMERS"
_PREFIX = "KVCACHED_TRANSFORMERS_"
_ON = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Settings:
    """How the paged cache gets its memory.

    :ivar socket: Engine socket of the host of this process's GPU; a host prints it in its ready line.
    :ivar pool: Name of the pool, unique in the domain; default: ``transformers-`` and the process id.
    :ivar domain: Domain of the hosts.
    :ivar virtual_blocks: Blocks that the engine's scheduler counts with, unless its own configuration sets ``num_blocks``; default: as many as the whole
        GPU could hold, whatever is free now.
    :ivar max_batch_tokens: Tokens of a step, unless the engine's configuration sets them; 0 = 512 with an attention mask, else 8192.
    :ivar limit_bytes: Most bytes of the pool; 0 = all that the GPU lends.
    :ivar floor_bytes: Bytes kept for this pool whatever others do.
    :ivar weight: Share when there is too little.
    :ivar grow_timeout: Seconds that a step may wait for pages before its requests count as not schedulable.
    :ivar start_timeout: Seconds to wait for the host, the pool and the first blocks.
    """

    socket: str
    pool: str = ""
    domain: str = "default"
    virtual_blocks: int = 0
    max_batch_tokens: int = 0
    limit_bytes: int = 0
    floor_bytes: int = 0
    weight: int = 1
    grow_timeout: float = 0.25
    start_timeout: float = 30.0

    def __post_init__(self) -> None:
        if not self.socket:
            raise ValueError("socket is empty; it is the path in the ready line of the host of this GPU")
        for name in ("virtual_blocks", "max_batch_tokens", "limit_bytes", "floor_bytes"):
            if getattr(self, name) < 0:
                raise ValueError("{0} is {1}; it can't be negative".format(name, getattr(self, name)))
        if self.weight < 1 or self.grow_timeout < 0 or self.start_timeout <= 0:
            raise ValueError("weight must be at least 1, grow_timeout at least 0 and start_timeout above 0")

    @property
    def pool_name(self) -> str:
        return self.pool or "transformers-{0}".format(os.getpid())


def is_switched_on(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether ``KVCACHED_TRANSFORMERS`` is set to 1, true, yes or on."""
    return environment.get(_SWITCH, "").strip().lower() in _ON


def from_environment(environment: Mapping[str, str] = os.environ) -> Optional[Settings]:
    """Settings of ``KVCACHED_TRANSFORMERS_SOCKET``, ``..._POOL`` and so on, one for each field; None unless switched on.

    :raises ValueError: A variable is unknown or can't be read, or the socket isn't named.
    """
    if not is_switched_on(environment):
        return None
    kinds = {field.name: field.default.__class__ if field.name != "socket" else str for field in fields(Settings)}
    values = {}
    for variable in sorted(environment):
        if not variable.startswith(_PREFIX):
            continue
        name = variable[len(_PREFIX) :].lower()
        if name not in kinds:
            raise ValueError("{0} is set, but there is no such setting; there are {1}".format(variable, ", ".join(_PREFIX + n.upper() for n in kinds)))
        try:
            values[name] = kinds[name](environment[variable])
        except ValueError:
            raise ValueError("{0} is {1!r}; it must be a number".format(variable, environment[variable])) from None
    if not values.get("socket"):
        raise ValueError("{0} is on, but {1}SOCKET isn't set; it is the path in the ready line of the host of this GPU".format(_SWITCH, _PREFIX))
    return Settings(**values)
