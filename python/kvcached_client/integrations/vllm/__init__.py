"""vLLM on Kvcached's memory, as a general plugin of vLLM.

    export KVCACHED_VLLM=1 KVCACHED_VLLM_SOCKET='/run/kvcached/engine-{device}.sock'
    vllm serve MODEL

vLLM calls :func:`register` in each of its processes. Without ``KVCACHED_VLLM`` that does nothing. With it, the installed vLLM is compared with what is
recorded of it (:mod:`..recorded`), and start-up ends with what to do when something differs. Then its modules are changed as they are imported: the scheduler's
block pool takes its blocks from a pool (:mod:`.block_pool`), the engine core opens it (:mod:`.engine_core`), and workers map it (:mod:`.worker`).
"""

from __future__ import annotations

from typing import Optional

from ..errors import IntegrationError
from ..recorded import require_installed
from .settings import Settings, from_environment

__all__ = ["IntegrationError", "Settings", "from_environment", "register"]

_registered: Optional[Settings] = None


def register() -> None:
    """The entry point. More calls do nothing.

    :raises IntegrationError: The installed vLLM isn't as recorded; nothing of it was changed.
    :raises ValueError: A variable of the environment makes no sense.
    """
    global _registered
    settings = from_environment()
    if settings is None or _registered is not None:
        return
    require_installed("vllm")
    from .hooks import install

    install(settings)
    _registered = settings
