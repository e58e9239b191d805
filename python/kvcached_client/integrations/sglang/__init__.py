"""SGLang on Kvcached's memory, as a general plugin of SGLang.

    export KVCACHED_SGLANG=1 KVCACHED_SGLANG_SOCKET='/run/kvcached/engine-{device}.sock'
    python -m sglang.launch_server --model-path MODEL

SGLang calls :func:`register` in each of its processes. Without ``KVCACHED_SGLANG`` that does nothing. With it, the installed SGLang is compared with what is
recorded of it (:mod:`..recorded`), and the process ends with what to do when something differs. SGLang's own way to reserve addresses first and back them later
(``SGLANG_ENABLE_POST_CAPTURE_KV_SIZING``) is switched on, and its buffers lie in a pool (:mod:`.buffers`), of which its allocator takes pieces
(:mod:`.allocator`).
"""

from __future__ import annotations

import os
from typing import Optional

from ..errors import IntegrationError
from ..recorded import require_installed
from .settings import Settings, from_environment

__all__ = ["IntegrationError", "Settings", "from_environment", "register"]

_SIZING = "SGLANG_ENABLE_POST_CAPTURE_KV_SIZING"
_registered: Optional[Settings] = None


def register() -> None:
    """The entry point. More calls do nothing.

    :raises SystemExit: The installed SGLang isn't as recorded, or a variable makes no sense; nothing of it was changed. SGLang goes on after other exceptions
        of a plugin, and would serve from memory of its own.
    """
    global _registered
    if _registered is not None:
        return
    try:
        settings = from_environment()
        if settings is None:
            return
        require_installed("sglang")
        if os.environ.setdefault(_SIZING, "1").lower() not in ("1", "true", "yes", "y"):
            raise IntegrationError("{0} is off, but kvcached needs it: it is how SGLang backs its KV buffers later. Unset it, or leave kvcached off.".format(_SIZING))
    except (IntegrationError, ValueError) as problem:
        raise SystemExit("kvcached: {0}".format(problem)) from problem
    from .hooks import install

    install(settings)
    _registered = settings
