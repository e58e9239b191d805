/* Prints what the C compiler makes of the structs: "struct.field offset bytes", and "struct bytes". Other languages compare theirs with it. */
#include <stddef.h>

#include <kvcached.h>

#include "check.h"

#define STRUCT(type) printf(#type " %zu\n", sizeof(type))
#define FIELD(type, field) printf(#type "." #field " %zu %zu\n", offsetof(type, field), sizeof(((type *)0)->field))

void print_layout(void)
{
    STRUCT(kvc_session_options);
    FIELD(kvc_session_options, struct_bytes);
    FIELD(kvc_session_options, connect_timeout_ms);
    FIELD(kvc_session_options, socket_path);
    FIELD(kvc_session_options, engine_name);
    FIELD(kvc_session_options, domain);
    FIELD(kvc_session_options, close_timeout_ms);
    FIELD(kvc_session_options, reserved);
    STRUCT(kvc_group_spec);
    FIELD(kvc_group_spec, name);
    FIELD(kvc_group_spec, kind);
    FIELD(kvc_group_spec, tokens_per_block);
    FIELD(kvc_group_spec, layer_count);
    FIELD(kvc_group_spec, buffer_count);
    FIELD(kvc_group_spec, block_bytes);
    FIELD(kvc_group_spec, page_bytes);
    FIELD(kvc_group_spec, virtual_page_count);
    FIELD(kvc_group_spec, reserved);
    STRUCT(kvc_pool_spec);
    FIELD(kvc_pool_spec, struct_bytes);
    FIELD(kvc_pool_spec, layout);
    FIELD(kvc_pool_spec, name);
    FIELD(kvc_pool_spec, groups);
    FIELD(kvc_pool_spec, gpus);
    FIELD(kvc_pool_spec, rank_layers);
    FIELD(kvc_pool_spec, group_count);
    FIELD(kvc_pool_spec, rank_count);
    FIELD(kvc_pool_spec, layers_per_mapping);
    FIELD(kvc_pool_spec, target);
    FIELD(kvc_pool_spec, limit_bytes);
    FIELD(kvc_pool_spec, floor_bytes);
    FIELD(kvc_pool_spec, weight);
    FIELD(kvc_pool_spec, reserved);
    STRUCT(kvc_pool_options);
    FIELD(kvc_pool_options, struct_bytes);
    FIELD(kvc_pool_options, no_growing_ahead);
    FIELD(kvc_pool_options, growth_horizon_ms);
    FIELD(kvc_pool_options, minimum_free_blocks);
    FIELD(kvc_pool_options, max_growth_pages);
    FIELD(kvc_pool_options, warm_decay_ms);
    FIELD(kvc_pool_options, warm_pages_to_keep);
    FIELD(kvc_pool_options, no_evicting_to_allocate);
    FIELD(kvc_pool_options, no_giving_up_cached);
    FIELD(kvc_pool_options, no_null_block);
    FIELD(kvc_pool_options, no_keeping_tags);
    FIELD(kvc_pool_options, reserved);
    FIELD(kvc_pool_options, max_cached_bytes);
    STRUCT(kvc_availability);
    FIELD(kvc_availability, free_blocks);
    FIELD(kvc_availability, cached_blocks);
    FIELD(kvc_availability, unmapped_blocks);
    STRUCT(kvc_extent);
    FIELD(kvc_extent, first_page);
    FIELD(kvc_extent, page_count);
    STRUCT(kvc_pool_stats);
    FIELD(kvc_pool_stats, mapped_pages);
    FIELD(kvc_pool_stats, warm_pages);
    FIELD(kvc_pool_stats, used_blocks);
    FIELD(kvc_pool_stats, cached_blocks);
    FIELD(kvc_pool_stats, free_blocks);
    FIELD(kvc_pool_stats, grants);
    FIELD(kvc_pool_stats, refusals);
    FIELD(kvc_pool_stats, revoked_extents);
    FIELD(kvc_pool_stats, returned_extents);
    FIELD(kvc_pool_stats, evicted_blocks);
    FIELD(kvc_pool_stats, pinned_extents);
    FIELD(kvc_pool_stats, rank_count);
    STRUCT(kvc_tag);
    FIELD(kvc_tag, byte_count);
    FIELD(kvc_tag, bytes);
    STRUCT(kvc_tagged_block);
    FIELD(kvc_tagged_block, block);
    FIELD(kvc_tagged_block, is_cached);
    FIELD(kvc_tagged_block, tag);
    STRUCT(kvc_attach_options);
    FIELD(kvc_attach_options, struct_bytes);
    FIELD(kvc_attach_options, rank);
    FIELD(kvc_attach_options, socket_path);
    FIELD(kvc_attach_options, pool_name);
    FIELD(kvc_attach_options, device);
    FIELD(kvc_attach_options, attach_timeout_ms);
    FIELD(kvc_attach_options, reattach_timeout_ms);
    FIELD(kvc_attach_options, detach_timeout_ms);
    FIELD(kvc_attach_options, guard);
    STRUCT(kvc_arena_info);
    FIELD(kvc_arena_info, base_address);
    FIELD(kvc_arena_info, byte_count);
    FIELD(kvc_arena_info, is_host_accessible);
    FIELD(kvc_arena_info, rank);
    FIELD(kvc_arena_info, group_count);
    FIELD(kvc_arena_info, tensor_count);
    STRUCT(kvc_tensor);
    FIELD(kvc_tensor, group);
    FIELD(kvc_tensor, layer);
    FIELD(kvc_tensor, buffer);
    FIELD(kvc_tensor, tokens_per_block);
    FIELD(kvc_tensor, offset_bytes);
    FIELD(kvc_tensor, block_bytes);
    FIELD(kvc_tensor, block_stride_bytes);
    FIELD(kvc_tensor, block_count);
    STRUCT(kvc_arena_stats);
    FIELD(kvc_arena_stats, extents);
    FIELD(kvc_arena_stats, pages);
    FIELD(kvc_arena_stats, mapped_bytes);
    FIELD(kvc_arena_stats, descriptors);
    FIELD(kvc_arena_stats, leaving_extents);
    FIELD(kvc_arena_stats, stuck_extents);
    FIELD(kvc_arena_stats, connections);
    FIELD(kvc_arena_stats, completed_step);
    FIELD(kvc_arena_stats, operations);
    FIELD(kvc_arena_stats, refusals);
    STRUCT(kvc_event);
    FIELD(kvc_event, kind);
    FIELD(kvc_event, group);
    FIELD(kvc_event, block);
    FIELD(kvc_event, status);
    FIELD(kvc_event, asked_pages);
    FIELD(kvc_event, given_up_pages);
    FIELD(kvc_event, lost_count);
    FIELD(kvc_event, deadline_ms);
    FIELD(kvc_event, tag);
    FIELD(kvc_event, reserved);
}
