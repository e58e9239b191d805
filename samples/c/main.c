/* Tries kv_cells on main memory: main SOCKET [DEVICE]. A context of 16,384 cells is reserved, filled up, cut down and filled again.
 *   cc -std=c11 -I LIBRARY_FOLDER -o kv_cells main.c kv_cells.c -L LIBRARY_FOLDER -lkvcached -Wl,-rpath,LIBRARY_FOLDER
 * SOCKET is in the ready line of a host, such as: Kvcached.Host --gpu none:0 --hosts 1 --memory 1GiB */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kv_cells.h"

enum { LAYERS = 2, CELL_BYTES = 4096, CONTEXT = 16384, CELLS_PER_PAGE = (2 << 20) / CELL_BYTES };
static const int64_t PAGE_ID_BYTES = (int64_t)LAYERS * 2 * (2 << 20);

static void check(int32_t status, const char *what)
{
    if (status == KVC_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, kvc_status_name(status), kvc_last_error());
    exit(1);
}

static void require(int is_so, const char *what)
{
    if (is_so) return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* Whether each byte of a cell, keys and values of all layers, is this one. */
static int holds(const kv_cells *cells, int64_t cell, unsigned char value)
{
    for (int32_t layer = 0; layer < LAYERS; layer++) {
        for (int32_t buffer = 0; buffer < 2; buffer++) {
            const unsigned char *bytes = (const unsigned char *)(uintptr_t)kv_cells_address(cells, layer, buffer, cell);
            for (int32_t i = 0; i < CELL_BYTES; i++) {
                if (bytes[i] != value) return 0;
            }
        }
    }
    return 1;
}

static void fill(const kv_cells *cells, int64_t cell, unsigned char value)
{
    for (int32_t layer = 0; layer < LAYERS; layer++) {
        for (int32_t buffer = 0; buffer < 2; buffer++) {
            memset((void *)(uintptr_t)kv_cells_address(cells, layer, buffer, cell), value, CELL_BYTES);
        }
    }
}

static void expect_mapped(const kv_cells *cells, int64_t pages)
{
    printf("%lld of %lld MiB mapped\n", (long long)(kv_cells_mapped_bytes(cells) >> 20), (long long)(PAGE_ID_BYTES * (CONTEXT / CELLS_PER_PAGE) >> 20));
    require(kv_cells_mapped_bytes(cells) == pages * PAGE_ID_BYTES, "what is mapped is not what the highest cell needs");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s SOCKET [DEVICE]\n", argv[0]);
        return 2;
    }
    char name[64];
    snprintf(name, sizeof name, "cells-%ld", (long)getpid());
    kv_cells cells;
    check(kv_cells_open(&cells, argv[1], argc > 2 ? argv[2] : "HOST-0", name, LAYERS, CELL_BYTES, CONTEXT), "opening");
    expect_mapped(&cells, 0);

    for (int64_t used = 0; used < 5 * CELLS_PER_PAGE; used++) {
        check(kv_cells_reserve(&cells, used + 1), "reserving");
        require(holds(&cells, used, 0), "a cell that came is not zero");
        fill(&cells, used, (unsigned char)(1 + used % 251));
    }
    expect_mapped(&cells, 5);

    int64_t used = CELLS_PER_PAGE + 1;
    check(kv_cells_release_beyond(&cells, used), "releasing");
    expect_mapped(&cells, 2);
    for (int64_t cell = 0; cell < used; cell++) require(holds(&cells, cell, (unsigned char)(1 + cell % 251)), "a cell that was kept has changed");

    check(kv_cells_reserve(&cells, 7 * CELLS_PER_PAGE), "reserving again");
    expect_mapped(&cells, 7);
    for (int64_t cell = 2 * CELLS_PER_PAGE; cell < 7 * CELLS_PER_PAGE; cell++) require(holds(&cells, cell, 0), "a cell that came again is not zero");
    require(kv_cells_reserve(&cells, 2 * CONTEXT) == KVC_ERROR_INVALID_ARGUMENT, "more than the context was reserved");

    kv_cells_close(&cells);
    printf("all cells as they should be\n");
    return 0;
}
