/* Ways to have the library run. */
#ifndef USE_H
#define USE_H

#include "check.h"
#include "specs.h"

static inline void start_library(void)
{
    kvc_group_spec group = sound_group();
    kvc_pool_spec spec = sound_spec(&group);
    CHECK_STATUS(KVC_OK, kvc_check_spec(&spec));
}

/* Opens a session and attaches in vain: starts threads, timers and sockets. */
static inline void use_library(void)
{
    start_library();
    kvc_handle handle;
    kvc_session_options session = {.struct_bytes = sizeof session, .connect_timeout_ms = 120, .socket_path = "/nonexistent/s", .engine_name = "e"};
    CHECK_STATUS(KVC_REFUSED_HOST_UNREACHABLE, kvc_open_session(&session, &handle));
    kvc_attach_options attach = {
        .struct_bytes = sizeof attach, .socket_path = "/nonexistent/s", .pool_name = "p", .device = "HOST-0", .attach_timeout_ms = 120};
    CHECK_STATUS(KVC_REFUSED_HOST_UNREACHABLE, kvc_attach_rank(&attach, &handle));
}

#endif
