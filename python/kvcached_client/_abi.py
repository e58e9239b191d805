"""The structs and functions of ``kvcached.h``; a test compares them with what the C compiler makes of the header."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int32, c_int64, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any, Dict, List, Tuple

ABI_VERSION = 1
MAX_TAG_BYTES = 64

Handle = c_uint64


class SessionOptions(Structure):
    _fields_ = [
        ("struct_bytes", c_uint32),
        ("connect_timeout_ms", c_int32),
        ("socket_path", c_char_p),
        ("engine_name", c_char_p),
        ("domain", c_char_p),
        ("close_timeout_ms", c_int32),
        ("reserved", c_int32),
    ]


class GroupSpec(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("kind", c_int32),
        ("tokens_per_block", c_int32),
        ("layer_count", c_int32),
        ("buffer_count", c_int32),
        ("block_bytes", c_int64),
        ("page_bytes", c_int64),
        ("virtual_page_count", c_int32),
        ("reserved", c_int32),
    ]


class PoolSpec(Structure):
    _fields_ = [
        ("struct_bytes", c_uint32),
        ("layout", c_int32),
        ("name", c_char_p),
        ("groups", POINTER(GroupSpec)),
        ("gpus", POINTER(c_char_p)),
        ("rank_layers", POINTER(c_int32)),
        ("group_count", c_int32),
        ("rank_count", c_int32),
        ("layers_per_mapping", c_int32),
        ("target", c_int32),
        ("limit_bytes", c_int64),
        ("floor_bytes", c_int64),
        ("weight", c_int32),
        ("reserved", c_int32),
    ]


class PoolOptions(Structure):
    _fields_ = [
        ("struct_bytes", c_uint32),
        ("no_growing_ahead", c_int32),
        ("growth_horizon_ms", c_int32),
        ("minimum_free_blocks", c_int32),
        ("max_growth_pages", c_int32),
        ("warm_decay_ms", c_int32),
        ("warm_pages_to_keep", c_int32),
        ("no_evicting_to_allocate", c_int32),
        ("no_giving_up_cached", c_int32),
        ("no_null_block", c_int32),
        ("no_keeping_tags", c_int32),
        ("reserved", c_int32),
        ("max_cached_bytes", c_int64),
    ]


class Availability(Structure):
    _fields_ = [("free_blocks", c_int32), ("cached_blocks", c_int32), ("unmapped_blocks", c_int64)]


class Extent(Structure):
    _fields_ = [("first_page", c_int32), ("page_count", c_int32)]


class PoolStats(Structure):
    _fields_ = [
        ("mapped_pages", c_int32),
        ("warm_pages", c_int32),
        ("used_blocks", c_int64),
        ("cached_blocks", c_int64),
        ("free_blocks", c_int64),
        ("grants", c_int64),
        ("refusals", c_int64),
        ("revoked_extents", c_int64),
        ("returned_extents", c_int64),
        ("evicted_blocks", c_int64),
        ("pinned_extents", c_int32),
        ("rank_count", c_int32),
    ]


class Tag(Structure):
    _fields_ = [("byte_count", c_uint8), ("bytes", c_uint8 * MAX_TAG_BYTES)]

    def to_bytes(self) -> bytes:
        return bytes(self.bytes[: self.byte_count])


class TaggedBlock(Structure):
    _fields_ = [("block", c_int32), ("is_cached", c_uint8), ("tag", Tag)]


class AttachOptions(Structure):
    _fields_ = [
        ("struct_bytes", c_uint32),
        ("rank", c_int32),
        ("socket_path", c_char_p),
        ("pool_name", c_char_p),
        ("device", c_char_p),
        ("attach_timeout_ms", c_int32),
        ("reattach_timeout_ms", c_int32),
        ("detach_timeout_ms", c_int32),
        ("guard", c_int32),
    ]


class ArenaInfo(Structure):
    _fields_ = [
        ("base_address", c_uint64),
        ("byte_count", c_int64),
        ("is_host_accessible", c_int32),
        ("rank", c_int32),
        ("group_count", c_int32),
        ("tensor_count", c_int32),
    ]


class TensorInfo(Structure):
    _fields_ = [
        ("group", c_int32),
        ("layer", c_int32),
        ("buffer", c_int32),
        ("tokens_per_block", c_int32),
        ("offset_bytes", c_int64),
        ("block_bytes", c_int64),
        ("block_stride_bytes", c_int64),
        ("block_count", c_int64),
    ]


class ArenaStats(Structure):
    _fields_ = [
        ("extents", c_int32),
        ("pages", c_int32),
        ("mapped_bytes", c_int64),
        ("descriptors", c_int32),
        ("leaving_extents", c_int32),
        ("stuck_extents", c_int32),
        ("connections", c_int32),
        ("completed_step", c_int64),
        ("operations", c_int64),
        ("refusals", c_int64),
    ]


class Event(Structure):
    _fields_ = [
        ("kind", c_int32),
        ("group", c_int32),
        ("block", c_int32),
        ("status", c_int32),
        ("asked_pages", c_int32),
        ("given_up_pages", c_int32),
        ("lost_count", c_int64),
        ("deadline_ms", c_int64),
        ("tag", Tag),
        ("reserved", c_uint8 * 7),
    ]


STRUCTS: Dict[str, Any] = {
    "kvc_session_options": SessionOptions,
    "kvc_group_spec": GroupSpec,
    "kvc_pool_spec": PoolSpec,
    "kvc_pool_options": PoolOptions,
    "kvc_availability": Availability,
    "kvc_extent": Extent,
    "kvc_pool_stats": PoolStats,
    "kvc_tag": Tag,
    "kvc_tagged_block": TaggedBlock,
    "kvc_attach_options": AttachOptions,
    "kvc_arena_info": ArenaInfo,
    "kvc_tensor": TensorInfo,
    "kvc_arena_stats": ArenaStats,
    "kvc_event": Event,
}

_I32 = c_int32
_I64 = c_int64
_TEXT = c_char_p
_PTR = c_void_p
_I32S = POINTER(c_int32)

# Calls that wait for somebody else: other Python threads run meanwhile.
WAITING: Dict[str, List[Any]] = {
    "kvc_open_session": [POINTER(SessionOptions), POINTER(Handle)],
    "kvc_close_session": [Handle],
    "kvc_open_pool": [Handle, POINTER(PoolSpec), POINTER(PoolOptions), _I32, POINTER(Handle)],
    "kvc_pool_grow": [Handle, _I32, _I32, _I32, _I32S],
    "kvc_pool_trim": [Handle, _I32, _I32, _I32, _I32S],
    "kvc_pool_null_block": [Handle, _I32, _I32, _I32S],
    "kvc_close_pool": [Handle, _I32],
    "kvc_close_pool_after": [Handle, _I64, _I32],
    "kvc_blocks_alloc_or_grow": [Handle, _I32, _I32S, _I32, _I32],
    "kvc_attach_rank": [POINTER(AttachOptions), POINTER(Handle)],
    "kvc_close_arena": [Handle, _I32],
    "kvc_events_poll": [Handle, POINTER(Event), _I32, _I32, _I32S],
}

# Calls that wait for nobody. They keep the interpreter's lock: giving it up and getting it back would cost more than the call, and could cost
# another thread's whole time slice.
PROMPT: Dict[str, List[Any]] = {
    "kvc_session_state": [Handle, _I32S],
    "kvc_check_spec": [POINTER(PoolSpec)],
    "kvc_pool_state": [Handle],
    "kvc_pool_available": [Handle, _I32, POINTER(Availability)],
    "kvc_pool_pin": [Handle, _I32, _I32, _I32],
    "kvc_pool_unpin": [Handle, _I32, _I32, _I32],
    "kvc_pool_extents": [Handle, _I32, POINTER(Extent), _I32, _I32S],
    "kvc_pool_get_stats": [Handle, POINTER(PoolStats)],
    "kvc_pool_rank_bytes": [Handle, _I32, POINTER(c_int64), POINTER(c_int64)],
    "kvc_blocks_alloc": [Handle, _I32, _I32S, _I32],
    "kvc_blocks_free": [Handle, _I32, _I32S, _I32, _I64],
    "kvc_block_tag": [Handle, _I32, _I32, _TEXT, _I32],
    "kvc_block_cache": [Handle, _I32, _I32, _TEXT, _I32, _I64],
    "kvc_blocks_cache": [Handle, _I32, _I32S, _I32, _I64],
    "kvc_blocks_take_cached": [Handle, _I32, _I32S, _I32, POINTER(Tag)],
    "kvc_block_touch": [Handle, _I32, _I32],
    "kvc_blocks_evict": [Handle, _I32, _I32S, _I32],
    "kvc_block_get_tag": [Handle, _I32, _I32, POINTER(Tag)],
    "kvc_blocks_list_tagged": [Handle, _I32, POINTER(TaggedBlock), _I32, _I32S],
    "kvc_arena_get_info": [Handle, POINTER(ArenaInfo)],
    "kvc_arena_tensor": [Handle, _I32, POINTER(TensorInfo)],
    "kvc_arena_group_name": [Handle, _I32, _TEXT, _I32, _I32S],
    "kvc_arena_state": [Handle, _I32S],
    "kvc_step_done": [Handle, _I64],
    "kvc_step_done_on_stream": [Handle, _I64, _PTR],
    "kvc_arena_get_stats": [Handle, POINTER(ArenaStats)],
    "kvc_events_keep": [Handle, _I32],
    "kvc_events_descriptor": [Handle, _I32S],
}

# Functions that give no status: their arguments and what they return. Left out: kvc_events_callback, whose callbacks would need the interpreter's
# lock on threads of the library.
PLAIN: Dict[str, Tuple[List[Any], Any]] = {
    "kvc_version": ([], c_char_p),
    "kvc_abi_version": ([], c_int32),
    "kvc_last_error": ([], c_char_p),
    "kvc_status_name": ([_I32], c_char_p),
}


def declare(waiting: ctypes.CDLL, prompt: ctypes.CDLL, into: Any) -> None:
    """Makes every function an attribute of ``into``, with its types."""
    for library, functions in ((waiting, WAITING), (prompt, PROMPT)):
        for name, argument_types in functions.items():
            function = getattr(library, name)
            function.argtypes = argument_types
            function.restype = c_int32
            setattr(into, name, function)
    for name, (argument_types, result_type) in PLAIN.items():
        function = getattr(prompt, name)
        function.argtypes = argument_types
        function.restype = result_type
        setattr(into, name, function)
