"""What of transformers this integration relies on, recorded per release, and compared at start-up with what is installed.

Read in public sources of package ``transformers.generation.continuous_batching`` before its change 47809. Functions that are only wrapped or called may have any
other parameters; those that are replaced must be exactly as recorded. 5.18.0 replaced the blocks of the cache by sectors
(that change), which this integration doesn't serve yet.

    python3 -m kvcached_client.integrations.transformers     compares, and prints each difference
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Callable, Dict, List, Mapping, Tuple

from ..errors import IntegrationError

PACKAGE = "transformers.generation.continuous_batching"
_ANY_ORDER = "*"


@dataclass(frozen=True)
class Recorded:
    """A callable and its parameters.

    :ivar place: Module, class and name, such as ``cache:PagedAttentionCache.free_blocks``.
    :ivar parameters: All names in order; or, after ``*``, names that must be among them.
    """

    place: str
    parameters: Tuple[str, ...]

    def difference(self, found: Tuple[str, ...]) -> str:
        """What differs, or an empty text."""
        if self.parameters[:1] == (_ANY_ORDER,):
            missing = [name for name in self.parameters[1:] if name not in found]
            return "has no parameter {0}; it has ({1})".format(", ".join(missing), ", ".join(found)) if missing else ""
        if self.parameters == found:
            return ""
        return "has the parameters ({0}) instead of ({1})".format(", ".join(found), ", ".join(self.parameters))


_BLOCKS_OF_5_17 = (
    Recorded("cache:PagedAttentionCache.__init__", ("*", "config", "continuous_batching_config", "device", "distributed_helper", "dtype")),
    Recorded("cache:PagedAttentionCache.will_allocation_be_successful", ("self", "num_requested_blocks", "allocated_blocks")),
    Recorded("cache:PagedAttentionCache.allocate_blocks", ("self", "n_blocks", "request_id", "allocated_blocks")),
    Recorded("cache:PagedAttentionCache.free_blocks", ("self", "request_id")),
    Recorded("cache:PagedAttentionCache.get_num_free_blocks", ("*", "self")),
    Recorded("cache:PagedAttentionCache.free_all_requests", ("*", "self")),
    Recorded("cache_manager:BlockManager.__init__", ("*", "num_blocks", "block_size")),
    Recorded("cache_manager:BlockManager.has_enough_free_blocks", ("self", "n_blocks")),
    Recorded("cache_manager:BlockManager.get_free_blocks", ("*", "self", "n_blocks", "shareable")),
    Recorded("cache_manager:BlockManager.increase_ref_count", ("self", "block_id")),
    Recorded("cache_manager:BlockManager.decrease_ref_count", ("self", "block_id")),
    Recorded("cache_manager:BlockManager.free_blocks", ("self", "blocks", "shareable")),
    Recorded("cache_manager:BlockManager.uninitialize_unshared_block", ("self", "block_id")),
    Recorded("scheduler:FIFOScheduler.schedule_batch", ("*", "self")),
    Recorded("continuous_api:ContinuousBatchProcessor.prepare_next_batch", ("*", "self")),
    Recorded("continuous_api:ContinuousBatchProcessor._generation_step", ("*", "self")),
    Recorded("continuous_api:ContinuousBatchingManager._create_batch_processor", ("*", "self")),
    Recorded("continuous_api:ContinuousBatchingManager.stop", ("*", "self", "block", "timeout", "keep_for_next_session")),
)

#: What is relied on, by ``major.minor`` of the release.
KNOWN: Dict[str, Tuple[Recorded, ...]] = {"5.17": _BLOCKS_OF_5_17}

#: Attributes of a cache that are read or replaced after the engine has made it.
CACHE_ATTRIBUTES = (
    "config", "device", "dtype", "block_size", "num_key_value_heads", "head_dim", "num_groups", "num_blocks", "num_pages", "max_batch_tokens", "key_cache",
    "value_cache", "cache_shape", "read_trash_index", "sentinel_index", "write_trash_index", "group_cache_managers", "num_full_attention_groups",
    "num_sliding_attention_groups", "max_sliding_window_blocks_per_request", "use_prefix_sharing", "_block_manager",
)  # fmt: skip
#: Likewise of its block manager.
MANAGER_ATTRIBUTES = ("num_blocks", "_uninit_block_ids", "_init_block_ids", "_hash_to_id", "_id_to_block")


def release_of(version: str) -> str:
    """``major.minor`` of a version."""
    return ".".join(version.split(".")[:2])


def differences(version: str, module: Callable[[str], ModuleType], known: Mapping[str, Tuple[Recorded, ...]] = KNOWN) -> List[str]:
    """What is not as recorded; empty when all is.

    :param version: Version of what is installed.
    :param module: Gives a module of :data:`PACKAGE` by its last name.
    """
    recorded = known.get(release_of(version))
    if recorded is None:
        return ["transformers {0} is not among the releases that were recorded ({1})".format(version, ", ".join(sorted(known)))]
    found = []
    for item in recorded:
        module_name, _, path = item.place.partition(":")
        try:
            there: Any = module(module_name)
            for name in path.split("."):
                there = getattr(there, name)
            parameters = tuple(inspect.signature(there).parameters)
        except (ImportError, AttributeError, TypeError, ValueError) as problem:
            found.append("{0} isn't there: {1}".format(item.place, problem))
            continue
        difference = item.difference(parameters)
        if difference:
            found.append("{0} {1}".format(item.place, difference))
    return found


def require(version: str, module: Callable[[str], ModuleType], known: Mapping[str, Tuple[Recorded, ...]] = KNOWN) -> None:
    """Does nothing when all is as recorded.

    :raises IntegrationError: Names every difference, and what to do.
    """
    found = differences(version, module, known)
    if found:
        raise IntegrationError(
            "transformers {0} is not what this version of kvcached_client was written for, so nothing of it was changed: {1}. Install transformers {2}, "
            "or a kvcached_client that knows {0}; or leave kvcached off.".format(version, "; ".join(found), " or ".join(sorted(known)))
        )


def require_attributes(what: str, there: Any, names: Tuple[str, ...]) -> None:
    """Does nothing when an object has all these attributes.

    :raises IntegrationError: Names those that are missing.
    """
    missing = [name for name in names if not hasattr(there, name)]
    if missing:
        raise IntegrationError(
            "{0} of the installed transformers has no {1}, which this integration replaces; install a release that it knows ({2}), or leave kvcached "
            "off.".format(what, ", ".join(missing), ", ".join(sorted(KNOWN)))
        )
