/* What starting the library does to signals, and that it can still collect its garbage. */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <kvcached.h>

#include "use.h"

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

const test_case signal_cases[] = {
    {"loading_starts_nothing", loading_starts_nothing},
    {"signals_stay_the_engines", signals_stay_the_engines},
    {"collection_stops_threads_with_restored_signals", collection_stops_threads_with_restored_signals},
    {NULL, NULL},
};
