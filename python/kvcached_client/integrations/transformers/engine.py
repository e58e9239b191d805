"""Switches transformers' continuous batching over, and back."""

from __future__ import annotations

import functools
import importlib
import threading
from types import ModuleType
from typing import Any, Dict, List, Optional, Tuple

from ...errors import KvcachedError
from ..errors import IntegrationError
from .cache import elastic_cache_class
from .hooks import hook_processor
from .settings import Settings, from_environment
from .signatures import PACKAGE, require

_lock = threading.Lock()
#: (object, name, what was there before), while switched on.
_replaced: List[Tuple[Any, str, Any]] = []


def _module(name: str) -> ModuleType:
    return importlib.import_module("{0}.{1}".format(PACKAGE, name))


def is_enabled() -> bool:
    """Whether managers that are made from now on run on Kvcached's memory."""
    return bool(_replaced)


def enable(settings: Optional[Settings] = None) -> bool:
    """Has every continuous batching manager that is made from now on keep its cache in Kvcached's memory.

    :param settings: Default: those of the environment, and nothing happens unless ``KVCACHED_TRANSFORMERS`` is on.
    :returns: Whether it is switched on.
    :raises IntegrationError: The installed transformers is not as recorded, or this is switched on already. Nothing was changed.
    :raises ValueError: A variable of the environment makes no sense.
    """
    settings = settings or from_environment()
    if settings is None:
        return False
    with _lock:
        if _replaced:
            raise IntegrationError("kvcached is switched on for transformers already; call disable() first to change its settings.")
        try:
            version = importlib.import_module("transformers").__version__
            require(version, _module)
            api = _module("continuous_api")
        except ImportError as problem:
            raise IntegrationError("transformers and PyTorch must be installed for this: {0}.".format(problem)) from problem
        managers = api.ContinuousBatchingManager
        wanted: Dict[Tuple[Any, str], Any] = {
            (api, "PagedAttentionCache"): elastic_cache_class(api.PagedAttentionCache, settings),
            (managers, "_create_batch_processor"): _creating(managers._create_batch_processor),
            (managers, "stop"): _stopping(managers.stop),
        }
        for (there, name), new in wanted.items():
            _replaced.append((there, name, getattr(there, name)))
            setattr(there, name, new)
    return True


def disable() -> None:
    """Managers that are made from now on have their own memory again; those that run keep Kvcached's."""
    with _lock:
        while _replaced:
            there, name, old = _replaced.pop()
            setattr(there, name, old)


def memory_of(manager: Any) -> Any:
    """The :class:`.memory.EngineMemory` of a continuous batching manager that is set up, or None: for observing it."""
    return getattr(getattr(getattr(manager, "batch_processor", None), "cache", None), "memory", None)


def _creating(create: Any) -> Any:
    """Around the making of a batch processor: hooks it."""

    @functools.wraps(create)
    def _create_batch_processor(self: Any, *arguments: Any, **named: Any) -> Any:
        processor = create(self, *arguments, **named)
        if hasattr(processor.cache, "memory"):
            hook_processor(processor)
        return processor

    return _create_batch_processor


def _stopping(stop: Any) -> Any:
    """Around a manager's stop: gives the memory back once its thread has ended, unless it is kept for later."""

    @functools.wraps(stop)
    def stop_and_close(self: Any, *arguments: Any, **named: Any) -> Any:
        processor = self.batch_processor
        try:
            return stop(self, *arguments, **named)
        finally:
            is_over = self.batch_processor is None and not self.is_running()
            cache = getattr(processor, "cache", None)
            if is_over and hasattr(cache, "memory"):
                _close(cache)

    return stop_and_close


def _close(cache: Any) -> None:
    try:
        cache.close()
    except KvcachedError as problem:
        importlib.import_module("warnings").warn("kvcached: the cache's memory wasn't given back in full: {0}".format(problem), stacklevel=3)
