/* The exported functions: each enters managed code only when it may be entered. */
#include "start.h"

#define FORWARD(name, parameters, arguments)                              \
    int32_t kvc_managed_##name parameters;                                \
    int32_t kvc_##name parameters                                         \
    {                                                                     \
        int32_t status = kvc_enter();                                     \
        return status == KVC_OK ? kvc_managed_##name arguments : status;  \
    }

FORWARD(open_session, (const kvc_session_options *options, kvc_handle *session), (options, session))
FORWARD(session_state, (kvc_handle session, int32_t *is_connected), (session, is_connected))
FORWARD(close_session, (kvc_handle session), (session))

FORWARD(check_spec, (const kvc_pool_spec *spec), (spec))
FORWARD(open_pool,
    (kvc_handle session, const kvc_pool_spec *spec, const kvc_pool_options *options, int32_t timeout_ms, kvc_handle *pool),
    (session, spec, options, timeout_ms, pool))
FORWARD(pool_state, (kvc_handle pool), (pool))
FORWARD(pool_available, (kvc_handle pool, int32_t group, kvc_availability *availability), (pool, group, availability))
FORWARD(pool_grow, (kvc_handle pool, int32_t group, int32_t page_count, int32_t timeout_ms, int32_t *granted_pages),
    (pool, group, page_count, timeout_ms, granted_pages))
FORWARD(pool_trim, (kvc_handle pool, int32_t group, int32_t warm_pages_to_keep, int32_t timeout_ms, int32_t *returned_pages),
    (pool, group, warm_pages_to_keep, timeout_ms, returned_pages))
FORWARD(pool_pin, (kvc_handle pool, int32_t group, int32_t first_page, int32_t page_count), (pool, group, first_page, page_count))
FORWARD(pool_unpin, (kvc_handle pool, int32_t group, int32_t first_page, int32_t page_count), (pool, group, first_page, page_count))
FORWARD(pool_null_block, (kvc_handle pool, int32_t group, int32_t timeout_ms, int32_t *block), (pool, group, timeout_ms, block))
FORWARD(pool_extents, (kvc_handle pool, int32_t group, kvc_extent *extents, int32_t capacity, int32_t *count),
    (pool, group, extents, capacity, count))
FORWARD(pool_get_stats, (kvc_handle pool, kvc_pool_stats *stats), (pool, stats))
FORWARD(pool_rank_bytes, (kvc_handle pool, int32_t rank, int64_t *mapped_bytes, int64_t *live_bytes), (pool, rank, mapped_bytes, live_bytes))
FORWARD(close_pool_after, (kvc_handle pool, int64_t last_step, int32_t timeout_ms), (pool, last_step, timeout_ms))

FORWARD(blocks_alloc, (kvc_handle pool, int32_t group, int32_t *blocks, int32_t count), (pool, group, blocks, count))
FORWARD(blocks_alloc_or_grow, (kvc_handle pool, int32_t group, int32_t *blocks, int32_t count, int32_t timeout_ms),
    (pool, group, blocks, count, timeout_ms))
FORWARD(blocks_free, (kvc_handle pool, int32_t group, const int32_t *blocks, int32_t count, int64_t last_step),
    (pool, group, blocks, count, last_step))
FORWARD(block_tag, (kvc_handle pool, int32_t group, int32_t block, const uint8_t *tag, int32_t tag_bytes), (pool, group, block, tag, tag_bytes))
FORWARD(block_cache, (kvc_handle pool, int32_t group, int32_t block, const uint8_t *tag, int32_t tag_bytes, int64_t last_step),
    (pool, group, block, tag, tag_bytes, last_step))
FORWARD(blocks_cache, (kvc_handle pool, int32_t group, const int32_t *blocks, int32_t count, int64_t last_step),
    (pool, group, blocks, count, last_step))
FORWARD(blocks_take_cached, (kvc_handle pool, int32_t group, const int32_t *blocks, int32_t count, const kvc_tag *expected),
    (pool, group, blocks, count, expected))
FORWARD(block_touch, (kvc_handle pool, int32_t group, int32_t block), (pool, group, block))
FORWARD(blocks_evict, (kvc_handle pool, int32_t group, const int32_t *blocks, int32_t count), (pool, group, blocks, count))
FORWARD(block_get_tag, (kvc_handle pool, int32_t group, int32_t block, kvc_tag *tag), (pool, group, block, tag))
FORWARD(blocks_list_tagged, (kvc_handle pool, int32_t group, kvc_tagged_block *tagged, int32_t capacity, int32_t *count),
    (pool, group, tagged, capacity, count))

FORWARD(attach_rank, (const kvc_attach_options *options, kvc_handle *arena), (options, arena))
FORWARD(arena_get_info, (kvc_handle arena, kvc_arena_info *info), (arena, info))
FORWARD(arena_tensor, (kvc_handle arena, int32_t index, kvc_tensor *tensor), (arena, index, tensor))
FORWARD(arena_group_name, (kvc_handle arena, int32_t group, char *name, int32_t capacity, int32_t *byte_count),
    (arena, group, name, capacity, byte_count))
FORWARD(arena_state, (kvc_handle arena, int32_t *is_attached), (arena, is_attached))
FORWARD(step_done, (kvc_handle arena, int64_t step), (arena, step))
FORWARD(step_done_on_stream, (kvc_handle arena, int64_t step, void *stream), (arena, step, stream))
FORWARD(arena_get_stats, (kvc_handle arena, kvc_arena_stats *stats), (arena, stats))
FORWARD(close_arena, (kvc_handle arena, int32_t timeout_ms), (arena, timeout_ms))

FORWARD(events_callback, (kvc_handle handle, kvc_event_callback callback, void *context), (handle, callback, context))
FORWARD(events_keep, (kvc_handle handle, int32_t capacity), (handle, capacity))
FORWARD(events_poll, (kvc_handle handle, kvc_event *events, int32_t capacity, int32_t timeout_ms, int32_t *count),
    (handle, events, capacity, timeout_ms, count))
FORWARD(events_descriptor, (kvc_handle handle, int32_t *descriptor), (handle, descriptor))

int32_t kvc_close_pool(kvc_handle pool, int32_t timeout_ms)
{
    return kvc_close_pool_after(pool, 0, timeout_ms); /* no step to wait for */
}
