"""Hugging Face transformers' continuous batching on Kvcached's memory.

    from kvcached_client.integrations import transformers as kvcached
    kvcached.enable(kvcached.Settings(socket="/run/user/1000/kvcached/engine-GPU-....sock", pool="llama-8b"))
    model.generate_batch(inputs, generation_config=...)

Or set ``KVCACHED_TRANSFORMERS=1`` and ``KVCACHED_TRANSFORMERS_SOCKET``, and call ``enable()``, which does nothing without the first. The engine's
scheduler sees as many blocks as the whole GPU could hold; they are mapped while they are used. When the GPU has no memory for more, requests wait, as
they do when the engine's own cache is full.
"""

from ..errors import IntegrationError
from .engine import disable, enable, is_enabled, memory_of
from .settings import Settings, from_environment, is_switched_on

__all__ = ["IntegrationError", "Settings", "disable", "enable", "from_environment", "is_enabled", "is_switched_on", "memory_of"]
