/* The KV cells of an engine that addresses them from 0 up in one tensor per layer, as llama.cpp does: addresses for the whole context are reserved once,
 * and memory follows the highest cell in use. What a buffer type for such an engine's tensors would do with Kvcached. */
#pragma once

#include <stdint.h>

#include "kvcached.h"

typedef struct kv_cells {
    kvc_handle session, pool, arena;
    uint64_t base_address;
    int64_t cell_bytes;     /* of one buffer of one layer */
    int64_t page_bytes;
    int32_t layer_count;
    int32_t page_count;     /* a power of two, so that pages come in order */
    int32_t has_released;   /* whether memory may come back that this pool wrote to */
    int32_t used_pages;     /* pages 0 to used_pages - 1 are mapped */
} kv_cells;

/* Reserves addresses for as many cells, of layer_count layers with keys and values. Takes no memory. KVC_OK, or an error with kvc_last_error(). */
int32_t kv_cells_open(kv_cells *cells, const char *socket_path, const char *device, const char *name, int32_t layer_count, int64_t cell_bytes, int64_t cell_count);

/* Address of a cell; buffer 0 is keys, 1 values. The same for the whole life: graphs and views may keep it. */
uint64_t kv_cells_address(const kv_cells *cells, int32_t layer, int32_t buffer, int64_t cell);

/* Maps what the first cell_count cells need. Memory that comes reads as zeroes; only what this pool gave back before is cleared as it comes. All comes or the error says why not. */
int32_t kv_cells_reserve(kv_cells *cells, int64_t cell_count);

/* Gives back what lies beyond the highest cell in use, after the work that was submitted so far. */
int32_t kv_cells_release_beyond(kv_cells *cells, int64_t used_cell_count);

/* Bytes that are mapped. */
int64_t kv_cells_mapped_bytes(const kv_cells *cells);

void kv_cells_close(kv_cells *cells);
