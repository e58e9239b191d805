/* What single calls answer: handles, pointers, specs, hosts that aren't there. */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include <kvcached.h>

#include "check.h"
#include "specs.h"

#define NOWHERE "/nonexistent/kvcached.sock"

static void names_need_no_runtime(void)
{
    CHECK(strlen(kvc_version()) > 0);
    CHECK(kvc_abi_version() == KVC_ABI_VERSION);
    CHECK(strcmp(kvc_status_name(KVC_OK), "KVC_OK") == 0);
    CHECK(strcmp(kvc_status_name(KVC_ERROR_TAG_MISMATCH), "KVC_ERROR_TAG_MISMATCH") == 0);
    CHECK(strcmp(kvc_status_name(KVC_REFUSED_OUT_OF_MEMORY), "KVC_REFUSED_OUT_OF_MEMORY") == 0);
    CHECK(strcmp(kvc_status_name(-1), "KVC_UNKNOWN") == 0);
    CHECK(strcmp(kvc_last_error(), "") == 0);
    CHECK(access("/proc/self/task", R_OK) == 0);
}

static void check_bad_handle(kvc_handle bad)
{
    kvc_group_spec group = sound_group();
    kvc_pool_spec spec = sound_spec(&group);
    kvc_handle made = 77;
    kvc_availability availability;
    kvc_pool_stats pool_stats;
    kvc_extent extent;
    kvc_tagged_block tagged;
    kvc_tag tag = {1, {1}};
    kvc_arena_info info;
    kvc_tensor tensor;
    kvc_arena_stats arena_stats;
    kvc_event event;
    int32_t block = 0, count = 0;
    int64_t bytes = 0;
    char name[8];
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_session_state(bad, &count));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_close_session(bad));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_open_pool(bad, &spec, NULL, 100, &made));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_pool_state(bad));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_pool_available(bad, 0, &availability));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_pool_grow(bad, 0, 1, 100, NULL));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_pool_trim(bad, 0, 0, 100, NULL));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_pool_pin(bad, 0, 0, 1));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_pool_unpin(bad, 0, 0, 1));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_pool_null_block(bad, 0, 0, &block));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_pool_extents(bad, 0, &extent, 1, &count));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_pool_get_stats(bad, &pool_stats));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_pool_rank_bytes(bad, 0, &bytes, NULL));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_close_pool(bad, 100));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_close_pool_after(bad, 7, 100));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_blocks_alloc(bad, 0, &block, 1));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_blocks_alloc_or_grow(bad, 0, &block, 1, 100));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_blocks_free(bad, 0, &block, 1, 1));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_block_tag(bad, 0, 0, tag.bytes, 1));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_block_cache(bad, 0, 0, tag.bytes, 1, 1));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_blocks_cache(bad, 0, &block, 1, 1));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_blocks_take_cached(bad, 0, &block, 1, &tag));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_block_touch(bad, 0, 0));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_blocks_evict(bad, 0, &block, 1));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_block_get_tag(bad, 0, 0, &tag));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_blocks_list_tagged(bad, 0, &tagged, 1, &count));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_arena_get_info(bad, &info));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_arena_tensor(bad, 0, &tensor));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_arena_group_name(bad, 0, name, sizeof name, NULL));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_arena_state(bad, NULL));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_step_done(bad, 1));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_step_done_on_stream(bad, 1, NULL));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_arena_get_stats(bad, &arena_stats));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_close_arena(bad, 100));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_events_callback(bad, NULL, NULL));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_events_keep(bad, 10));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_events_poll(bad, &event, 1, 0, &count));
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_events_descriptor(bad, &count));
    CHECK(made == 77);
    CHECK(strstr(kvc_last_error(), "Handle 0x") != NULL);
}

static void bad_handles_give_a_code(void)
{
    check_bad_handle(0);
    check_bad_handle(1);
    check_bad_handle(UINT64_MAX);
    for (uint64_t i = 1; i <= 2000; i++) {
        CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_pool_state(i * 0x9E3779B97F4A7C15u));
    }
}

static void null_pointers_give_a_code(void)
{
    kvc_handle handle = 0;
    kvc_session_options session = {.struct_bytes = sizeof session, .engine_name = "engine"};
    kvc_attach_options attach = {.struct_bytes = sizeof attach, .socket_path = NOWHERE, .pool_name = "pool"};
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_open_session(NULL, &handle));
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_open_session(&session, NULL));
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_open_session(&session, &handle)); /* no socket path */
    CHECK(strstr(kvc_last_error(), "socket_path") != NULL);
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_attach_rank(NULL, &handle));
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_attach_rank(&attach, NULL));
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_attach_rank(&attach, &handle)); /* no device */
    CHECK(strstr(kvc_last_error(), "device") != NULL);
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_check_spec(NULL));
    CHECK(handle == 0);
}

static void options_out_of_range_give_a_code(void)
{
    kvc_handle handle = 0;
    kvc_session_options session = {.struct_bytes = sizeof session - 8, .socket_path = NOWHERE, .engine_name = "engine"};
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_open_session(&session, &handle));
    CHECK(strstr(kvc_last_error(), "struct_bytes") != NULL);
    session.struct_bytes = sizeof session;
    session.connect_timeout_ms = -1;
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_open_session(&session, &handle));
    session.connect_timeout_ms = 100;
    session.engine_name = "";
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_open_session(&session, &handle));
    session.engine_name = "\xff\xfe";
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_open_session(&session, &handle));
    CHECK(strstr(kvc_last_error(), "UTF-8") != NULL);

    char long_path[400];
    memset(long_path, 'a', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    session.engine_name = "engine";
    session.socket_path = long_path;
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_open_session(&session, &handle));

    kvc_attach_options attach = {.struct_bytes = sizeof attach, .socket_path = NOWHERE, .pool_name = "pool", .device = "GPU 0"};
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_attach_rank(&attach, &handle));
    attach.device = "HOST-0";
    attach.rank = -1;
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_attach_rank(&attach, &handle));
    attach.rank = 0;
    attach.guard = KVC_GUARD_ZERO + 1;
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_attach_rank(&attach, &handle));
    CHECK(strstr(kvc_last_error(), "KVC_GUARD_ZERO") != NULL);
    CHECK(handle == 0);
}

static void a_host_that_is_not_there_refuses(void)
{
    kvc_handle handle = 0;
    kvc_session_options session = {.struct_bytes = sizeof session, .connect_timeout_ms = 150, .socket_path = NOWHERE, .engine_name = "engine"};
    CHECK_STATUS(KVC_REFUSED_HOST_UNREACHABLE, kvc_open_session(&session, &handle));
    CHECK(strstr(kvc_last_error(), NOWHERE) != NULL);
    kvc_attach_options attach = {
        .struct_bytes = sizeof attach, .socket_path = NOWHERE, .pool_name = "pool", .device = "HOST-0", .attach_timeout_ms = 150};
    CHECK_STATUS(KVC_REFUSED_HOST_UNREACHABLE, kvc_attach_rank(&attach, &handle));
    CHECK(strstr(kvc_last_error(), NOWHERE) != NULL);
    CHECK(handle == 0);
}

static void specs_are_checked(void)
{
    kvc_group_spec group = sound_group();
    kvc_pool_spec spec = sound_spec(&group);
    CHECK_STATUS(KVC_OK, kvc_check_spec(&spec));

    spec.struct_bytes++;
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_check_spec(&spec));
    spec = sound_spec(&group);
    spec.name = "with space";
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_check_spec(&spec));
    spec = sound_spec(NULL);
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_check_spec(&spec));
    spec = sound_spec(&group);
    spec.gpus = (const char *const[]){"HOST-0", NULL};
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_check_spec(&spec));
    spec.gpus = (const char *const[]){"HOST-0", "HOST-0"};
    CHECK_STATUS(KVC_REFUSED_BAD_GEOMETRY, kvc_check_spec(&spec));
    spec = sound_spec(&group);
    spec.target = 9;
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_check_spec(&spec));
    spec = sound_spec(&group);
    spec.limit_bytes = 100;
    spec.floor_bytes = 101;
    CHECK_STATUS(KVC_REFUSED_BAD_LIMIT, kvc_check_spec(&spec));
    spec = sound_spec(&group);
    spec.weight = -1;
    CHECK_STATUS(KVC_REFUSED_BAD_LIMIT, kvc_check_spec(&spec));
    spec = sound_spec(&group);
    spec.layout = KVC_LAYOUT_GROUPED;
    CHECK_STATUS(KVC_REFUSED_BAD_GEOMETRY, kvc_check_spec(&spec)); /* no layers per mapping */
    spec.layers_per_mapping = 2;
    CHECK_STATUS(KVC_OK, kvc_check_spec(&spec));

    group.block_bytes = 0;
    spec = sound_spec(&group);
    CHECK_STATUS(KVC_REFUSED_BAD_GEOMETRY, kvc_check_spec(&spec));
    group = sound_group();
    group.page_bytes = -4096;
    CHECK_STATUS(KVC_REFUSED_BAD_GEOMETRY, kvc_check_spec(&spec));
    group = sound_group();
    group.kind = 300;
    CHECK_STATUS(KVC_REFUSED_BAD_GEOMETRY, kvc_check_spec(&spec));
    group = sound_group();
    int32_t layers[] = {3, 5};
    spec.rank_layers = layers;
    CHECK_STATUS(KVC_OK, kvc_check_spec(&spec)); /* pipeline stages differ in layers */
    layers[1] = 0;
    CHECK_STATUS(KVC_REFUSED_BAD_GEOMETRY, kvc_check_spec(&spec));
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A number that is likely to break something: small, huge, negative, or a power of two. */
static int64_t wild(uint64_t *state)
{
    uint64_t random = next_random(state);
    switch (random & 7) {
    case 0: return 0;
    case 1: return -(int64_t)(random >> 8 & 0xFFFF);
    case 2: return INT64_MIN;
    case 3: return INT64_MAX;
    case 4: return (int64_t)1 << (random >> 8 & 63);
    case 5: return INT32_MIN;
    default: return (int64_t)(random >> 8 & 0xFFFF);
    }
}

static void wild_specs_never_crash(void)
{
    uint64_t state = 88172645463325252u;
    int refused = 0;
    for (int i = 0; i < 100000; i++) {
        kvc_group_spec groups[2] = {sound_group(), sound_group()};
        groups[1].name = "other";
        kvc_pool_spec spec = sound_spec(groups);
        spec.group_count = 2;
        for (int change = 0; change < 2; change++) {
            kvc_group_spec *group = &groups[next_random(&state) & 1];
            int64_t value = wild(&state);
            switch (next_random(&state) % 13) {
            case 0: group->kind = (int32_t)value; break;
            case 1: group->tokens_per_block = (int32_t)value; break;
            case 2: group->layer_count = (int32_t)value; break;
            case 3: group->buffer_count = (int32_t)value; break;
            case 4: group->block_bytes = value; break;
            case 5: group->page_bytes = value; break;
            case 6: group->virtual_page_count = (int32_t)value; break;
            case 7: spec.layout = (int32_t)value; break;
            case 8: spec.layers_per_mapping = (int32_t)value; break;
            case 9: spec.target = (int32_t)value; break;
            case 10: spec.limit_bytes = value; break;
            case 11: spec.floor_bytes = value; break;
            default: spec.weight = (int32_t)value; break;
            }
        }
        int32_t status = kvc_check_spec(&spec);
        CHECK(status == KVC_OK || status == KVC_ERROR_INVALID_ARGUMENT || status == KVC_REFUSED_BAD_GEOMETRY || status == KVC_REFUSED_BAD_LIMIT);
        CHECK(status == KVC_OK || strlen(kvc_last_error()) > 0);
        refused += status != KVC_OK;
    }
    CHECK(refused > 50000);
}

const test_case call_cases[] = {
    {"names_need_no_runtime", names_need_no_runtime},
    {"bad_handles_give_a_code", bad_handles_give_a_code},
    {"null_pointers_give_a_code", null_pointers_give_a_code},
    {"options_out_of_range_give_a_code", options_out_of_range_give_a_code},
    {"a_host_that_is_not_there_refuses", a_host_that_is_not_there_refuses},
    {"specs_are_checked", specs_are_checked},
    {"wild_specs_never_crash", wild_specs_never_crash},
    {NULL, NULL},
};
