/* A pool that keeps all rules: 2 ranks on main memory, 4 layers, keys and values of 16 KiB a block. */
#ifndef SPECS_H
#define SPECS_H

#include <kvcached.h>

static const char *const spec_gpus[] = {"HOST-0", "HOST-1"};

static inline kvc_group_spec sound_group(void)
{
    kvc_group_spec group = {
        .name = "full",
        .kind = KVC_GROUP_MULTI_HEAD,
        .tokens_per_block = 16,
        .layer_count = 4,
        .buffer_count = 2,
        .block_bytes = 16384,
        .page_bytes = 2 << 20,
        .virtual_page_count = 256,
    };
    return group;
}

static inline kvc_pool_spec sound_spec(const kvc_group_spec *group)
{
    kvc_pool_spec spec = {
        .struct_bytes = sizeof spec,
        .name = "pool",
        .groups = group,
        .gpus = spec_gpus,
        .group_count = 1,
        .rank_count = 2,
    };
    return spec;
}

#endif
