"""What a user decides about a pool of an engine, and how it is read from variables of the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Any, Dict, Mapping, Optional, Type, TypeVar

_ON = ("1", "true", "yes", "on")
_DEVICE = "{device}"

SettingsType = TypeVar("SettingsType", bound="PoolSettings")


@dataclass(frozen=True)
class PoolSettings:
    """How an engine gets its KV memory.

    :ivar socket: Engine socket of the host of a process's GPU; a host prints it in its ready line. ``{device}`` in it stands for the GPU's UUID.
    :ivar pool: Name of the pool, unique in the domain; default: the engine's name and the process id.
    :ivar domain: Domain of the hosts.
    :ivar limit_bytes: Most bytes of the pool on a GPU; 0 = all that it lends.
    :ivar floor_bytes: Bytes on each GPU kept for this pool whatever others do.
    :ivar weight: Share when there is too little.
    :ivar grow_timeout: Seconds that a step may wait for pages before its requests count as not schedulable.
    :ivar start_timeout: Seconds to wait for the host, the pool and the first blocks.
    """

    socket: str
    pool: str = ""
    domain: str = "default"
    limit_bytes: int = 0
    floor_bytes: int = 0
    weight: int = 1
    grow_timeout: float = 0.25
    start_timeout: float = 30.0

    def __post_init__(self) -> None:
        if not self.socket:
            raise ValueError("socket is empty; it is the path in the ready line of the host of this GPU")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (int, float)) and value < 0:
                raise ValueError("{0} is {1}; it can't be negative".format(field.name, value))
        if self.weight < 1 or self.start_timeout <= 0:
            raise ValueError("weight must be at least 1 and start_timeout above 0")

    def socket_of(self, device: str) -> str:
        """The engine socket of the host of a GPU."""
        return self.socket.replace(_DEVICE, device)


def is_on(switch: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a variable is set to 1, true, yes or on."""
    return environment.get(switch, "").strip().lower() in _ON


def read_settings(kind: Type[SettingsType], switch: str, environment: Mapping[str, str] = os.environ) -> Optional[SettingsType]:
    """Settings from the variables ``SWITCH_SOCKET``, ``SWITCH_POOL`` and so on, one for each field; None unless ``SWITCH`` is on.

    :raises ValueError: A variable is unknown or can't be read, or the socket isn't named.
    """
    if not is_on(switch, environment):
        return None
    prefix = switch + "_"
    types = {field.name: field.default.__class__ if field.name != "socket" else str for field in fields(kind)}
    values: Dict[str, Any] = {}
    for variable in sorted(environment):
        if not variable.startswith(prefix):
            continue
        name = variable[len(prefix) :].lower()
        if name not in types:
            raise ValueError("{0} is set, but there is no such setting; there are {1}".format(variable, ", ".join(prefix + n.upper() for n in types)))
        try:
            values[name] = types[name](environment[variable])
        except ValueError:
            raise ValueError("{0} is {1!r}; it must be a number".format(variable, environment[variable])) from None
    if not values.get("socket"):
        raise ValueError("{0} is on, but {1}SOCKET isn't set; it is the path in the ready line of the host of this GPU".format(switch, prefix))
    return kind(**values)
