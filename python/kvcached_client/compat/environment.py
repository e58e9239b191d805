"""The environment variables: kvcached's own, read as it reads them, and those of this package."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Mapping, Optional

#: Where an engine process finds the host of its GPU: a path, in which ``{device}`` stands for the GPU's UUID.
SOCKET = "KVCACHED_ENGINE_SOCKET"

#: Variables of kvcached's Python side, its native module and its scripts.
THEIRS = frozenset(
    "KVCACHED_" + name
    for name in (
        "AUTOPATCH PAGE_SIZE_MB GPU_UTILIZATION PAGE_PREALLOC_ENABLED MIN_RESERVED_PAGES MAX_RESERVED_PAGES MAX_CACHED_TOKENS MAX_CACHED_BLOCKS SANITY_CHECK "
        "CONTIGUOUS_LAYOUT IPC_NAME IPC_TIMEOUT LOG_LEVEL LOG_COLOR LOG_COLOR_CODE NIXL_CONTIGUOUS_LAYOUT"
    ).split()
)

#: Variables of this package and of the hosts' tests.
OURS = frozenset({SOCKET, "KVCACHED_DOMAIN", "KVCACHED_GUARD", "KVCACHED_LIBRARY", "KVCACHED_SOCKETS", "KVCACHED_GPUS", "KVCACHED_MANAGEMENT", "KVCACHED_TEST_HOST", "KVCACHED_COMPAT_REPORT"})

log = logging.getLogger("kvcached_client.compat")


@dataclass(frozen=True)
class Settings:
    """What the environment asks for.

    :ivar socket: Path of the engine socket, perhaps with ``{device}``; empty when there is none.
    :ivar domain: Domain to reach.
    :ivar guard: ``zero`` so that stray reads find zeroes, or None so that they fault.
    :ivar min_reserved_pages: Mapped pages to keep ready.
    :ivar max_reserved_pages: Most freed pages to keep mapped.
    :ivar gpu_utilization: Share of a GPU that a pool may hold, from 0 to 1.
    :ivar ipc_timeout: Seconds that an exchange between processes may take; None without end.
    """

    socket: str
    domain: str = "default"
    guard: Optional[str] = "zero"
    min_reserved_pages: int = 5
    max_reserved_pages: int = 10
    gpu_utilization: float = 0.95
    ipc_timeout: Optional[float] = 60.0

    def socket_of(self, device: str) -> str:
        """The engine socket of the host of a GPU."""
        if not self.socket:
            raise RuntimeError("{0} is not set: set it to the engine socket of the GPU's host, such as /run/kvcached/engine-{{device}}.sock".format(SOCKET))
        return self.socket.replace("{device}", device)


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Reads the settings.

    :raises ValueError: A value can't be read; the message names the variable.
    """
    guard = environment.get("KVCACHED_GUARD", "zero").lower()
    if guard not in ("zero", "none"):
        raise ValueError("KVCACHED_GUARD is {0!r}; 'zero' or 'none'".format(guard))
    timeout = _number(environment, "KVCACHED_IPC_TIMEOUT", 60.0)
    utilization = _number(environment, "KVCACHED_GPU_UTILIZATION", 0.95)
    if not 0 < utilization <= 1:
        raise ValueError("KVCACHED_GPU_UTILIZATION is {0}; above 0 and at most 1".format(utilization))
    return Settings(
        socket=environment.get(SOCKET, ""),
        domain=environment.get("KVCACHED_DOMAIN", "default"),
        guard=None if guard == "none" else guard,
        min_reserved_pages=max(0, int(_number(environment, "KVCACHED_MIN_RESERVED_PAGES", 5))),
        max_reserved_pages=max(0, int(_number(environment, "KVCACHED_MAX_RESERVED_PAGES", 10))),
        gpu_utilization=utilization,
        ipc_timeout=timeout if timeout > 0 else None,
    )


# Variables of kvcached_client.integrations, which have readers of their own.
_INTEGRATIONS = ("KVCACHED_TRANSFORMERS", "KVCACHED_VLLM", "KVCACHED_SGLANG")


def name_unknown(environment: Mapping[str, str] = os.environ) -> "list[str]":
    """Logs the variables that look like kvcached's and mean nothing to either side, in one line, and returns them."""
    unknown = sorted(name for name in environment if name.startswith("KVCACHED_") and name not in THEIRS and name not in OURS and not name.startswith(_INTEGRATIONS))
    if unknown:
        log.warning("these environment variables mean nothing to kvcached or this package: %s", ", ".join(unknown))
    return unknown


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name)
    try:
        return default if text is None else float(text)
    except ValueError:
        raise ValueError("{0} is {1!r}; a number is needed".format(name, text)) from None
