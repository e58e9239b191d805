/* Children of a process that uses the library. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kvcached.h>

#include "use.h"

static int exit_code_of(pid_t child)
{
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void check_forked(void)
{
    kvc_handle handle = 77;
    kvc_session_options session = {.struct_bytes = sizeof session, .socket_path = "/nonexistent/s", .engine_name = "e"};
    int32_t block = 0;
    CHECK_STATUS(KVC_ERROR_FORKED, kvc_open_session(&session, &handle));
    CHECK_STATUS(KVC_ERROR_FORKED, kvc_open_session(NULL, NULL));
    CHECK_STATUS(KVC_ERROR_FORKED, kvc_blocks_alloc(1, 0, &block, 1));
    CHECK_STATUS(KVC_ERROR_FORKED, kvc_close_session(1));
    CHECK(handle == 77);
    CHECK(strstr(kvc_last_error(), "forked") != NULL);
    CHECK(strlen(kvc_version()) > 0);
}

static void forked_children_are_refused(void)
{
    use_library();
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) {
            check_forked();
            pid_t grandchild = fork();
            if (grandchild == 0) {
                check_forked();
                _exit(0);
            }
            _exit(exit_code_of(grandchild));
        }
        CHECK(exit_code_of(child) == 0);
        use_library(); /* the parent's is untouched */
    }
}

static void children_made_without_handlers_are_refused(void)
{
    use_library();
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        int32_t block = 0;
        int32_t status = kvc_blocks_alloc(1, 0, &block, 1);
        syscall(SYS_exit_group, status == KVC_ERROR_FORKED ? 0 : 1);
    }
    CHECK(exit_code_of((pid_t)child) == 0);
}

static void children_forked_before_the_first_call_may_use_it(void)
{
    pid_t child = fork();
    if (child == 0) {
        use_library();
        _exit(0);
    }
    CHECK(exit_code_of(child) == 0);
    use_library();
    child = fork();
    if (child == 0) {
        check_forked();
        _exit(0);
    }
    CHECK(exit_code_of(child) == 0);
}

static char silent_path[64];

static void *open_session_in_vain(void *context)
{
    (void)context;
    kvc_handle handle;
    kvc_session_options session = {.struct_bytes = sizeof session, .connect_timeout_ms = 3000, .socket_path = silent_path, .engine_name = "e"};
    CHECK(kvc_open_session(&session, &handle) != KVC_OK);
    return NULL;
}

static int count_sockets(void)
{
    int count = 0;
    for (int descriptor = 3; descriptor < 4096; descriptor++) {
        struct stat about;
        count += fstat(descriptor, &about) == 0 && S_ISSOCK(about.st_mode);
    }
    return count;
}

/* A host that accepts and says nothing: while a session waits for it, a child is forked. */
static void forked_children_have_no_sockets_of_the_library(void)
{
    snprintf(silent_path, sizeof silent_path, "/tmp/kvcached-test-%d.sock", getpid());
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, silent_path);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 8) == 0);
    pthread_t opener;
    CHECK(pthread_create(&opener, NULL, open_session_in_vain, NULL) == 0);
    int accepted = accept(listener, NULL, NULL);
    CHECK(accepted >= 0);
    CHECK(count_sockets() == 3); /* listener, this side and the library's side */
    pid_t child = fork();
    if (child == 0) {
        CHECK(count_sockets() == 2);
        _exit(0);
    }
    unlink(silent_path);
    CHECK(exit_code_of(child) == 0);
    CHECK(count_sockets() == 3);
    close(accepted);
    close(listener);
    pthread_join(opener, NULL);
}

const test_case fork_cases[] = {
    {"forked_children_are_refused", forked_children_are_refused},
    {"children_made_without_handlers_are_refused", children_made_without_handlers_are_refused},
    {"children_forked_before_the_first_call_may_use_it", children_forked_before_the_first_call_may_use_it},
    {"forked_children_have_no_sockets_of_the_library", forked_children_have_no_sockets_of_the_library},
    {NULL, NULL},
};
