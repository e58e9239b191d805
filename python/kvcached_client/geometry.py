"""Describes what a model keeps: KV groups with their blocks and pages, and the pool over an ordered list of GPUs."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import Any, List, Optional, Sequence, Tuple, Union

from . import _abi
from ._library import library
from .dtypes import DType, dtype_of

MIB = 1 << 20
_STATE_ALIGNMENT_BYTES = 256
_KINDS = {"multi_head": 1, "multi_head_latent": 2, "sliding_window": 3, "state": 4}
_LAYOUTS = {"contiguous": 1, "grouped": 2, "per_layer": 3}
_TARGETS = {"host": 1, "worker": 2}


@dataclass(frozen=True)
class Group:
    """Layers that share a block shape. Sizes are of one buffer of one layer; a rank holds them once per layer and buffer.

    :ivar name: Unique in the pool, 1 to 64 characters.
    :ivar kind: ``multi_head``, ``multi_head_latent``, ``sliding_window`` or ``state``.
    :ivar tokens_per_block: From 1; 0 for states.
    :ivar layers: Layers on each rank.
    :ivar buffers: 2 for keys and values, else 1.
    :ivar block_bytes: Bytes of a block.
    :ivar page_bytes: Bytes of a page: a multiple of the driver's granularity, at least a block.
    :ivar virtual_pages: Page ids; virtual room costs no memory.
    """

    name: str
    kind: str
    tokens_per_block: int
    layers: int
    buffers: int
    block_bytes: int
    page_bytes: int
    virtual_pages: int

    @property
    def bytes_per_page(self) -> int:
        """Bytes that one page id takes on a rank, over all layers and buffers."""
        return self.page_bytes * self.layers * self.buffers

    def with_virtual_bytes(self, virtual_bytes: int) -> "Group":
        """The same group with as many page ids as this many bytes on a rank have room for, at least one."""
        return replace(self, virtual_pages=max(1, virtual_bytes // self.bytes_per_page))


def multi_head(
    name: str,
    *,
    layers: int,
    kv_heads: int,
    head_elements: int,
    virtual_bytes: int,
    tokens_per_block: int = 16,
    dtype: Union[str, DType, object] = "bfloat16",
    tensor_parallel: int = 1,
    scale_bytes: int = 0,
    page_bytes: int = 2 * MIB,
) -> Group:
    """Keys and values of multi-head or grouped-query attention.

    :param layers: Layers on each rank.
    :param kv_heads: KV heads of the model, divided over the ranks; with fewer heads than ranks, several ranks hold the same one.
    :param head_elements: Elements of a head per token, in keys and in values each.
    :param virtual_bytes: Virtual room of the group on a rank.
    :param tensor_parallel: Ranks that share each layer.
    :param scale_bytes: Scales kept in the block, per token and head.
    """
    heads = heads_per_rank(kv_heads, tensor_parallel)
    per_token = heads * (head_elements * dtype_of(dtype).item_bytes + scale_bytes)
    return Group(name, "multi_head", tokens_per_block, layers, 2, tokens_per_block * per_token, page_bytes, 1).with_virtual_bytes(virtual_bytes)


def sliding_window(name: str, **arguments: Any) -> Group:
    """As :func:`multi_head`, for layers that look back a bounded number of tokens."""
    return replace(multi_head(name, **arguments), kind="sliding_window")


def latent(
    name: str,
    *,
    layers: int,
    elements_per_token: int,
    virtual_bytes: int,
    tokens_per_block: int = 64,
    dtype: Union[str, DType, object] = "bfloat16",
    extra_bytes_per_token: int = 0,
    page_bytes: int = 2 * MIB,
) -> Group:
    """One latent buffer for keys and values (MLA), the same on every tensor-parallel rank: 512 + 64 elements for DeepSeek-V3."""
    per_token = elements_per_token * dtype_of(dtype).item_bytes + extra_bytes_per_token
    return Group(name, "multi_head_latent", tokens_per_block, layers, 1, tokens_per_block * per_token, page_bytes, 1).with_virtual_bytes(
        virtual_bytes
    )


def state(name: str, *, layers: int, slot_bytes: int, virtual_bytes: int, page_bytes: int = 2 * MIB) -> Group:
    """A state of fixed size per sequence (Mamba, linear attention). A block is a slot, padded to an aligned stride that divides the page."""
    return Group(name, "state", 0, layers, 1, state_stride(slot_bytes, page_bytes), page_bytes, 1).with_virtual_bytes(virtual_bytes)


def heads_per_rank(kv_heads: int, tensor_parallel: int) -> int:
    """KV heads that one rank holds."""
    if kv_heads < 1 or tensor_parallel < 1 or (kv_heads % tensor_parallel and tensor_parallel % kv_heads):
        raise ValueError("{0} KV heads can't be shared by {1} ranks; one number must divide the other".format(kv_heads, tensor_parallel))
    return max(1, kv_heads // tensor_parallel)


def state_stride(slot_bytes: int, page_bytes: int) -> int:
    """The smallest stride, a multiple of 256, that holds a slot and divides the page."""
    if not 1 <= slot_bytes <= page_bytes or page_bytes % _STATE_ALIGNMENT_BYTES:
        raise ValueError(
            "a state of {0} bytes needs a page of at least as many, a multiple of {1}; this one has {2}".format(
                slot_bytes, _STATE_ALIGNMENT_BYTES, page_bytes
            )
        )
    units = page_bytes // _STATE_ALIGNMENT_BYTES
    slots = min(page_bytes // slot_bytes, units)
    while units % slots:
        slots -= 1
    return page_bytes // slots


@dataclass(frozen=True)
class PoolSpec:
    """One engine's pool.

    :ivar name: Unique in the domain: 1 to 64 letters, digits, dots, dashes, underscores. A scheduler that starts anew finds its pool by it.
    :ivar groups: Its KV groups.
    :ivar gpus: UUIDs of its GPUs (``GPU-...``, or ``HOST-n`` for main memory), one per rank, TP within PP.
    :ivar layout: ``contiguous``, ``grouped`` or ``per_layer``: what one driver mapping covers. Contiguous is fastest.
    :ivar layers_per_mapping: For ``grouped``.
    :ivar rank_layers: For pipeline stages that differ: layers of each rank, one sequence over the groups per rank.
    :ivar limit_bytes: Most bytes on each GPU; 0 = all that the GPU lends.
    :ivar floor_bytes: Bytes on each GPU kept for this pool whatever others do.
    :ivar weight: Share when there is too little.
    :ivar target: ``worker``, or ``host`` for pools that are mapped in the hosts.
    """

    name: str
    groups: Sequence[Group]
    gpus: Sequence[str]
    layout: str = "contiguous"
    layers_per_mapping: int = 0
    rank_layers: Optional[Sequence[Sequence[int]]] = None
    limit_bytes: int = 0
    floor_bytes: int = 0
    weight: int = 1
    target: str = "worker"

    def check(self) -> None:
        """Raises what is wrong with it, as far as that can be known without asking a host."""
        native, _kept = self._to_native()
        lib = library()
        lib.check(lib.kvc_check_spec(ctypes.byref(native)))

    def group_index(self, group: Union[int, str]) -> int:
        """Index of a group by its name, or the index itself."""
        if isinstance(group, int):
            return group
        for index, found in enumerate(self.groups):
            if found.name == group:
                return index
        raise ValueError("pool {0!r} has no KV group {1!r}; it has {2}".format(self.name, group, ", ".join(g.name for g in self.groups)))

    def _to_native(self) -> Tuple[_abi.PoolSpec, List[object]]:
        """The C struct, and what must stay alive as long as it."""
        groups = (_abi.GroupSpec * max(1, len(self.groups)))()
        for native_group, group in zip(groups, self.groups):
            native_group.name = group.name.encode("utf-8")
            native_group.kind = _number(_KINDS, "kind", group.kind)
            native_group.tokens_per_block = group.tokens_per_block
            native_group.layer_count = group.layers
            native_group.buffer_count = group.buffers
            native_group.block_bytes = group.block_bytes
            native_group.page_bytes = group.page_bytes
            native_group.virtual_page_count = group.virtual_pages
        gpus = (ctypes.c_char_p * max(1, len(self.gpus)))(*[gpu.encode("utf-8") for gpu in self.gpus])
        kept: List[object] = [groups, gpus]
        native = _abi.PoolSpec(
            struct_bytes=ctypes.sizeof(_abi.PoolSpec),
            layout=_number(_LAYOUTS, "layout", self.layout),
            name=self.name.encode("utf-8"),
            groups=groups,
            gpus=gpus,
            group_count=len(self.groups),
            rank_count=len(self.gpus),
            layers_per_mapping=self.layers_per_mapping,
            target=_number(_TARGETS, "target", self.target),
            limit_bytes=self.limit_bytes,
            floor_bytes=self.floor_bytes,
            weight=self.weight,
        )
        if self.rank_layers is not None:
            if len(self.rank_layers) != len(self.gpus) or any(len(layers) != len(self.groups) for layers in self.rank_layers):
                raise ValueError("rank_layers needs one row per GPU with one number per group")
            flat = [layers for rank in self.rank_layers for layers in rank]
            rank_layers = (ctypes.c_int32 * len(flat))(*flat)
            native.rank_layers = rank_layers
            kept.append(rank_layers)
        return native, kept


def _number(names: Any, what: str, name: str) -> int:
    if name not in names:
        raise ValueError("{0} {1!r} doesn't exist; there are {2}".format(what, name, ", ".join(names)))
    return names[name]
