"""The engine's paged cache over an arena. Imported only once the engine's signatures were found to be as recorded."""

from __future__ import annotations

import copy
import inspect
from typing import Any, Optional, Type

from ...devices import cuda_device_uuid
from ..errors import IntegrationError
from .layout import CacheShape
from .manager import make_elastic
from .memory import EngineMemory
from .settings import Settings
from .signatures import CACHE_ATTRIBUTES, require_attributes
from .team import team_of

# The engine's own constructor runs once over so few blocks, and everything that follows from their number is then replaced.
_SEED_BLOCKS = 4
_BATCH_TOKENS_WITH_MASK = 512
_BATCH_TOKENS = 8192
_MASKED = ("paged|eager", "paged|sdpa")


def elastic_cache_class(base: Type[Any], settings: Settings) -> Type[Any]:
    """The class to put in place of ``base``, the engine's ``PagedAttentionCache``."""
    parameters = inspect.signature(base.__init__)

    class ElasticPagedAttentionCache(base):  # type: ignore[misc, valid-type]
        """A cache whose blocks are mapped while they are used. Looks to the engine like one with all of them."""

        memory: EngineMemory

        def __init__(self, *arguments: Any, **named: Any) -> None:
            bound = parameters.bind(self, *arguments, **named)
            bound.apply_defaults()
            given = bound.arguments
            asked = given["continuous_batching_config"]
            self._team = team_of(given["distributed_helper"])
            seed = copy.copy(asked)
            seed.num_blocks = _SEED_BLOCKS
            is_masked = given["config"]._attn_implementation in _MASKED
            if seed.max_batch_tokens is None:
                seed.max_batch_tokens = settings.max_batch_tokens or (_BATCH_TOKENS_WITH_MASK if is_masked else _BATCH_TOKENS)
            given["continuous_batching_config"] = seed
            super().__init__(*bound.args[1:], **bound.kwargs)
            require_attributes("PagedAttentionCache", self, CACHE_ATTRIBUTES)
            self._move(asked.num_blocks)

        def _move(self, blocks: Optional[int]) -> None:
            """From the few blocks that the engine's constructor made to the pool's."""
            import torch

            shape = self._shape(torch)
            device = torch.device(self.device)
            is_on_gpu = device.type == "cuda"
            index = (device.index if device.index is not None else torch.cuda.current_device()) if is_on_gpu else 0
            if blocks is None:
                blocks = settings.virtual_blocks or shape.blocks_that_fit(_total_bytes(torch, index, is_on_gpu))
            uuid = cuda_device_uuid(index) if is_on_gpu else "HOST-0"
            blocks = min(self._team.gather(blocks))
            self.memory = memory = EngineMemory(settings, shape, blocks, uuid, self._team)
            try:
                keys, values = [], []
                for layer in range(shape.tensors):
                    for buffer, made in enumerate((keys, values)):
                        tensor = torch.utils.dlpack.from_dlpack(memory.flat_buffer(layer, buffer, self.dtype, index))
                        torch._dynamo.mark_static_address(tensor)
                        made.append(tensor)
                make_elastic(self._block_manager, memory.elastic)
            except BaseException:
                memory.close()
                raise
            self.key_cache, self.value_cache = keys, values
            self.cache_shape = tuple(keys[0].shape)
            self.num_blocks = blocks
            self.num_pages = blocks * self.block_size
            self.read_trash_index = memory.trash[0] * self.block_size
            self.sentinel_index = self.read_trash_index + 1
            self.write_trash_index = memory.trash[1] * self.block_size
            for group in self.group_cache_managers:
                for name in ("sentinel_index", "write_trash_index"):
                    if hasattr(group, name):
                        setattr(group, name, getattr(self, name))

        def _shape(self, torch: Any) -> CacheShape:
            rows = (_SEED_BLOCKS + 2) * self.block_size
            wanted = (rows, self.num_key_value_heads, self.head_dim)
            made = {tuple(tensor.shape) for tensor in (*self.key_cache, *self.value_cache)}
            if made != {wanted} or len(self.key_cache) != len(self.value_cache):
                raise IntegrationError(
                    "the engine's cache has tensors of shapes {0}, where {1} was expected for {2} blocks; install a release that this integration knows, "
                    "or leave kvcached off.".format(sorted(made), wanted, _SEED_BLOCKS)
                )
            item_bytes = torch.empty((), dtype=self.dtype).element_size()
            return CacheShape(len(self.key_cache), self.block_size, self.num_key_value_heads, self.head_dim, item_bytes)

        def will_allocation_be_successful(self, num_requested_blocks: int, allocated_blocks: int) -> bool:
            """Whether so many blocks can be had; they are then set aside until the step is scheduled."""
            if not super().will_allocation_be_successful(num_requested_blocks, allocated_blocks):
                return False
            needed = num_requested_blocks * self.num_full_attention_groups
            if self.num_sliding_attention_groups:
                left = max(self.max_sliding_window_blocks_per_request - allocated_blocks, 0)
                needed += min(left, num_requested_blocks) * self.num_sliding_attention_groups
            return self.memory.elastic.reserve(needed)

        def allocate_blocks(self, n_blocks: int, request_id: str, allocated_blocks: int) -> Optional[int]:
            """As the engine's own: None, a scheduling miss, when there is no memory for them."""
            if not self.will_allocation_be_successful(n_blocks, allocated_blocks):
                return None
            return super().allocate_blocks(n_blocks, request_id, allocated_blocks)

        def close(self) -> None:
            """Gives the memory back. The engine must not run any more. More calls do nothing."""
            import torch

            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.key_cache, self.value_cache = [], []
            self.memory.close()

    return ElasticPagedAttentionCache


def _total_bytes(torch: Any, index: int, is_on_gpu: bool) -> int:
    if not is_on_gpu:
        raise IntegrationError("a model on main memory needs num_blocks in its ContinuousBatchingConfig, or virtual_blocks in Settings")
    return torch.cuda.get_device_properties(index).total_memory
