/* What the library does to the process it is in: signals, forks, threads, other libraries. */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kvcached.h>

#include "check.h"
#include "specs.h"

static int count_entries(const char *folder)
{
    int count = 0;
    DIR *entries = opendir(folder);
    while (readdir(entries) != NULL) {
        count++;
    }
    closedir(entries);
    return count - 2;
}

static void start_library(void)
{
    kvc_group_spec group = sound_group();
    kvc_pool_spec spec = sound_spec(&group);
    CHECK_STATUS(KVC_OK, kvc_check_spec(&spec));
}

/* Opens a session and attaches in vain: starts threads, timers and sockets. */
static void use_library(void)
{
    start_library();
    kvc_handle handle;
    kvc_session_options session = {.struct_bytes = sizeof session, .connect_timeout_ms = 120, .socket_path = "/nonexistent/s", .engine_name = "e"};
    CHECK_STATUS(KVC_REFUSED_HOST_UNREACHABLE, kvc_open_session(&session, &handle));
    kvc_attach_options attach = {
        .struct_bytes = sizeof attach, .socket_path = "/nonexistent/s", .pool_name = "p", .device = "HOST-0", .attach_timeout_ms = 120};
    CHECK_STATUS(KVC_REFUSED_HOST_UNREACHABLE, kvc_attach_rank(&attach, &handle));
}

static int exit_code_of(pid_t child)
{
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void loading_starts_nothing(void)
{
    CHECK(count_entries("/proc/self/task") == 1);
    struct sigaction action;
    sigaction(SIGSEGV, NULL, &action);
    CHECK(action.sa_handler == SIG_DFL);
    sigaction(SIGRTMIN, NULL, &action);
    CHECK(action.sa_handler == SIG_DFL);
}

static sigjmp_buf after_fault;
static volatile sig_atomic_t handled_signal;

static void engine_handler(int signal)
{
    handled_signal = signal;
}

static void engine_fault_handler(int signal, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    handled_signal = signal;
    siglongjmp(after_fault, 1);
}

static void signals_stay_the_engines(void)
{
    static char stack_bytes[65536];
    stack_t stack = {.ss_sp = stack_bytes, .ss_size = sizeof stack_bytes};
    CHECK(sigaltstack(&stack, NULL) == 0);
    struct sigaction fault = {.sa_sigaction = engine_fault_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaddset(&fault.sa_mask, SIGUSR2);
    sigaction(SIGSEGV, &fault, NULL);
    sigaction(SIGFPE, &fault, NULL);
    struct sigaction plain = {.sa_handler = engine_handler};
    int caught[] = {SIGINT, SIGTERM, SIGQUIT, SIGCHLD, SIGCONT, SIGUSR1, SIGALRM, SIGRTMIN + 1};
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
        sigaction(caught[i], &plain, NULL);
    }
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGWINCH);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);

    struct sigaction before[NSIG], after;
    int is_known[NSIG];
    for (int signal = 1; signal < NSIG; signal++) {
        is_known[signal] = sigaction(signal, NULL, &before[signal]) == 0;
    }
    use_library();
    for (int signal = 1; signal < NSIG; signal++) {
        if (!is_known[signal] || signal == SIGRTMIN) {
            continue;
        }
        CHECK(sigaction(signal, NULL, &after) == 0);
        if (after.sa_sigaction != before[signal].sa_sigaction || memcmp(&after.sa_mask, &before[signal].sa_mask, 8) != 0
            || (after.sa_flags & ~0x4000000) != (before[signal].sa_flags & ~0x4000000)) { /* SA_RESTORER is the C library's */
            fprintf(stderr, "signal %d has another disposition\n", signal);
            _exit(1);
        }
    }
    sigaction(SIGRTMIN, NULL, &after);
    CHECK(after.sa_handler != SIG_DFL); /* the one that is taken, as the header says */

    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGWINCH) == 1 && sigismember(&now, SIGINT) == 0 && sigismember(&now, SIGRTMIN) == 0);
    stack_t stack_now;
    sigaltstack(NULL, &stack_now);
    CHECK(stack_now.ss_sp == stack_bytes);

    raise(SIGINT);
    CHECK(handled_signal == SIGINT);
    char *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (sigsetjmp(after_fault, 1) == 0) {
        *(volatile char *)nowhere = 1;
    }
    CHECK(handled_signal == SIGSEGV);
    use_library(); /* and it still runs */
}

static volatile int is_spinning = 1;

static void *check_specs(void *context)
{
    (void)context;
    kvc_group_spec group = sound_group();
    kvc_pool_spec spec = sound_spec(&group);
    while (is_spinning) {
        CHECK_STATUS(KVC_OK, kvc_check_spec(&spec)); /* allocates, so that garbage is collected and threads are stopped for it */
    }
    return NULL;
}

static void collection_stops_threads_with_restored_signals(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, check_specs, NULL) == 0);
    }
    kvc_group_spec group = sound_group();
    kvc_pool_spec spec = sound_spec(&group);
    for (int i = 0; i < 300000; i++) {
        CHECK_STATUS(KVC_OK, kvc_check_spec(&spec));
    }
    is_spinning = 0;
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
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

static void *use_in_thread(void *context)
{
    *(int *)context = 1;
    for (int i = 0; i < 50; i++) {
        start_library();
        CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_pool_state(12345));
    }
    return NULL;
}

static void threads_of_the_engine_may_call(void)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    CHECK(pthread_attr_setstacksize(&small, 128 * 1024) == 0);
    for (int round = 0; round < 20; round++) { /* the first round also starts the library, from all of them at once */
        pthread_t threads[16];
        int ran[16] = {0};
        for (int i = 0; i < 16; i++) {
            CHECK(pthread_create(&threads[i], &small, use_in_thread, &ran[i]) == 0);
        }
        for (int i = 0; i < 16; i++) {
            pthread_join(threads[i], NULL);
            CHECK(ran[i] == 1);
        }
    }
}

static void *fail_in_thread(void *context)
{
    CHECK(strcmp(kvc_last_error(), "") == 0);
    CHECK_STATUS(KVC_ERROR_INVALID_ARGUMENT, kvc_check_spec(NULL));
    strcpy(context, kvc_last_error());
    return NULL;
}

static void each_thread_has_its_own_last_error(void)
{
    CHECK_STATUS(KVC_ERROR_BAD_HANDLE, kvc_pool_state(99));
    char mine[256], other[256];
    strcpy(mine, kvc_last_error());
    pthread_t thread;
    pthread_create(&thread, NULL, fail_in_thread, other);
    pthread_join(thread, NULL);
    CHECK(strcmp(mine, other) != 0);
    CHECK(strcmp(mine, kvc_last_error()) == 0);
    start_library(); /* a call that succeeds leaves it */
    CHECK(strcmp(mine, kvc_last_error()) == 0);
}

static void no_other_library_comes_along(void)
{
    use_library();
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps) != NULL) {
        CHECK(strstr(line, "libssl") == NULL && strstr(line, "libcrypto") == NULL && strstr(line, "libicu") == NULL);
        CHECK(strstr(line, "libcuda") == NULL); /* HOST-0 needs no driver */
    }
    fclose(maps);
}

const test_case process_cases[] = {
    {"loading_starts_nothing", loading_starts_nothing},
    {"signals_stay_the_engines", signals_stay_the_engines},
    {"collection_stops_threads_with_restored_signals", collection_stops_threads_with_restored_signals},
    {"forked_children_are_refused", forked_children_are_refused},
    {"children_made_without_handlers_are_refused", children_made_without_handlers_are_refused},
    {"children_forked_before_the_first_call_may_use_it", children_forked_before_the_first_call_may_use_it},
    {"forked_children_have_no_sockets_of_the_library", forked_children_have_no_sockets_of_the_library},
    {"threads_of_the_engine_may_call", threads_of_the_engine_may_call},
    {"each_thread_has_its_own_last_error", each_thread_has_its_own_last_error},
    {"no_other_library_comes_along", no_other_library_comes_along},
    {NULL, NULL},
};
