"""Elastic KV-cache memory for LLM engines.

A scheduler opens a :class:`Session` and in it a :class:`Pool`, whose blocks it allocates and frees; each worker opens an :class:`Arena`, whose
tensors it uses as its KV cache. Importing this package loads nothing native: the library is loaded, and started, by the first call, so that an
engine may fork its processes after its imports. A process that is forked later can't use it (:class:`ForkedError`).

Times are seconds, sizes bytes; groups, layers, buffers and ranks count from 0, engine steps from 1.
"""

from ._library import abi_version, library_path, version
from ._version import __version__
from .arena import Arena, ArenaStats
from .devices import cuda_device_uuid
from .dtypes import DType, dtype_of
from .errors import (
    BadSpecError,
    BlockError,
    ForkedError,
    HandleError,
    InternalError,
    InvalidArgumentError,
    KvcachedError,
    LibraryNotFoundError,
    MemoryRefusedError,
    NoBlocksError,
    NotThereError,
    PoolGoneError,
    RefusedError,
    TagMismatchError,
    UnavailableError,
)
from .events import Event, Evicted, Lost, PoolGone, Shrink, Withdrawn
from .geometry import Group, PoolSpec, latent, multi_head, sliding_window, state
from .pool import Pool
from .pool_facts import STEP_NONE, STEP_SYNC, Availability, PoolOptions, PoolStats, TaggedBlock
from .session import Session
from .tensors import Tensor

__all__ = [
    "STEP_NONE",
    "STEP_SYNC",
    "Arena",
    "ArenaStats",
    "Availability",
    "BadSpecError",
    "BlockError",
    "DType",
    "Event",
    "Evicted",
    "ForkedError",
    "Group",
    "HandleError",
    "InternalError",
    "InvalidArgumentError",
    "KvcachedError",
    "LibraryNotFoundError",
    "Lost",
    "MemoryRefusedError",
    "NoBlocksError",
    "NotThereError",
    "Pool",
    "PoolGone",
    "PoolGoneError",
    "PoolOptions",
    "PoolSpec",
    "PoolStats",
    "RefusedError",
    "Session",
    "Shrink",
    "TagMismatchError",
    "TaggedBlock",
    "Tensor",
    "UnavailableError",
    "Withdrawn",
    "__version__",
    "abi_version",
    "cuda_device_uuid",
    "dtype_of",
    "latent",
    "library_path",
    "multi_head",
    "sliding_window",
    "state",
    "version",
]
