#include "kv_cells.h"

#include <string.h>

enum { PAGE_BYTES = 2 << 20, WAIT_MS = 30000, RETRY_MS = 30000 };

static int64_t pages_of(const kv_cells *cells, int64_t cell_count)
{
    int64_t cells_per_page = cells->page_bytes / cells->cell_bytes;
    return (cell_count + cells_per_page - 1) / cells_per_page;
}

int32_t kv_cells_open(kv_cells *cells, const char *socket_path, const char *device, const char *name, int32_t layer_count, int64_t cell_bytes, int64_t cell_count)
{
    memset(cells, 0, sizeof *cells);
    /* Cells lie side by side over page ends, so that a page must hold whole cells. */
    if (cell_bytes < 1 || PAGE_BYTES % cell_bytes != 0 || cell_count < 1 || layer_count < 1) return KVC_ERROR_INVALID_ARGUMENT;
    cells->cell_bytes = cell_bytes;
    cells->page_bytes = PAGE_BYTES;
    cells->layer_count = layer_count;
    for (cells->page_count = 1; cells->page_count < pages_of(cells, cell_count); cells->page_count *= 2) {}

    kvc_session_options session = {.struct_bytes = sizeof session, .socket_path = socket_path, .engine_name = name};
    int32_t status = kvc_open_session(&session, &cells->session);
    if (status != KVC_OK) return status;

    /* A block is a whole page: the engine cuts it into cells. */
    kvc_group_spec group = {.name = "cells", .kind = KVC_GROUP_MULTI_HEAD, .tokens_per_block = (int32_t)(PAGE_BYTES / cell_bytes), .layer_count = layer_count,
                            .buffer_count = 2, .block_bytes = PAGE_BYTES, .page_bytes = PAGE_BYTES, .virtual_page_count = cells->page_count};
    const char *gpus[] = {device};
    kvc_pool_spec spec = {.struct_bytes = sizeof spec, .layout = KVC_LAYOUT_PER_LAYER, .name = name, .groups = &group, .gpus = gpus, .group_count = 1, .rank_count = 1};
    kvc_pool_options options = {.struct_bytes = sizeof options, .no_growing_ahead = 1, .no_null_block = 1, .no_keeping_tags = 1};
    status = kvc_open_pool(cells->session, &spec, &options, WAIT_MS, &cells->pool);
    if (status == KVC_OK) {
        kvc_attach_options attach = {.struct_bytes = sizeof attach, .rank = 0, .socket_path = socket_path, .pool_name = name, .device = device};
        status = kvc_attach_rank(&attach, &cells->arena);
    }
    if (status == KVC_OK) {
        kvc_arena_info info;
        status = kvc_arena_get_info(cells->arena, &info);
        cells->base_address = info.base_address;
    }
    if (status != KVC_OK) kv_cells_close(cells);
    return status;
}

uint64_t kv_cells_address(const kv_cells *cells, int32_t layer, int32_t buffer, int64_t cell)
{
    kvc_tensor tensor;
    if (kvc_arena_tensor(cells->arena, layer * 2 + buffer, &tensor) != KVC_OK) return 0;
    return cells->base_address + (uint64_t)(tensor.offset_bytes + cell * cells->cell_bytes);
}

/* Memory of others and new memory comes as zeroes; what this pool gave back itself may come again as it was. A buffer type on a GPU uses cuMemsetD8Async here. */
static void clear_page(const kv_cells *cells, int32_t page)
{
    for (int32_t index = 0; index < cells->layer_count * 2; index++) {
        kvc_tensor tensor;
        if (kvc_arena_tensor(cells->arena, index, &tensor) != KVC_OK) continue;
        memset((void *)(uintptr_t)(cells->base_address + (uint64_t)(tensor.offset_bytes + page * tensor.block_stride_bytes)), 0, (size_t)tensor.block_bytes);
    }
}

int32_t kv_cells_reserve(kv_cells *cells, int64_t cell_count)
{
    int64_t wanted = pages_of(cells, cell_count);
    int32_t before = cells->used_pages;
    if (wanted > cells->page_count) return KVC_ERROR_INVALID_ARGUMENT;
    while (cells->used_pages < wanted) {
        /* One by one: of several at once the library may choose an aligned run further up. Free pages lie above those in use, and the lowest of them is the
         * smallest run, which is taken first. */
        int32_t page;
        int32_t status = kvc_blocks_alloc_or_grow(cells->pool, 0, &page, 1, RETRY_MS);
        if (status == KVC_OK && page != cells->used_pages) {
            kvc_blocks_free(cells->pool, 0, &page, 1, KVC_STEP_NONE);
            status = KVC_ERROR_INTERNAL;
        }
        if (status != KVC_OK) {
            kv_cells_release_beyond(cells, before * (cells->page_bytes / cells->cell_bytes));
            return status;
        }
        if (cells->has_released) clear_page(cells, page);
        cells->used_pages++;
    }
    return KVC_OK;
}

int32_t kv_cells_release_beyond(kv_cells *cells, int64_t used_cell_count)
{
    int32_t keep = (int32_t)pages_of(cells, used_cell_count);
    int32_t returned;
    if (keep >= cells->used_pages) return KVC_OK;
    while (cells->used_pages > keep) {
        int32_t page = cells->used_pages - 1;
        int32_t status = kvc_blocks_free(cells->pool, 0, &page, 1, KVC_STEP_SYNC);
        if (status != KVC_OK) return status;
        cells->used_pages--;
        cells->has_released = 1;
    }
    /* At once, not when it has been idle for a while: what is left mapped are then the lowest pages alone. */
    return kvc_pool_trim(cells->pool, 0, 0, WAIT_MS, &returned);
}

int64_t kv_cells_mapped_bytes(const kv_cells *cells)
{
    int64_t mapped = 0, live = 0;
    kvc_pool_rank_bytes(cells->pool, 0, &mapped, &live);
    return mapped;
}

void kv_cells_close(kv_cells *cells)
{
    if (cells->session != 0) kvc_close_session(cells->session);
    if (cells->arena != 0) kvc_close_arena(cells->arena, WAIT_MS);
    memset(cells, 0, sizeof *cells);
}
