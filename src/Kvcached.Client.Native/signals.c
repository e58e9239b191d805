/*
 * The engine's signal handlers stay the engine's.
 *
 * Seen with .NET 10 on x86-64: starting the runtime replaces the dispositions of SIGSEGV and SIGFPE (to make exceptions of null references
 * and divisions by zero), ignores SIGPIPE, and takes SIGRTMIN, with which it asks its threads to stop for the garbage collector. Nothing is
 * taken later: threads, timers and sockets change none. SIGRTMIN must stay; everything else is put back. So a fault in this library is a
 * fault in a C library: the engine's own handler, such as Python's faulthandler, reports it. Sockets are written with MSG_NOSIGNAL.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stddef.h>

#include "start.h"

static int lies_in_this_library(const struct sigaction *action)
{
    Dl_info handler, self;
    void *address = (void *)action->sa_sigaction;
    return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN && dladdr(address, &handler) != 0
        && dladdr((void *)&kvc_start_keeping_signals, &self) != 0 && handler.dli_fbase == self.dli_fbase;
}

int32_t kvc_start_keeping_signals(void)
{
    struct sigaction before[NSIG];
    int is_known[NSIG] = {0};
    for (int signal = 1; signal < NSIG; signal++) {
        is_known[signal] = sigaction(signal, NULL, &before[signal]) == 0;
    }

    int32_t status = kvc_managed_start();

    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction now;
        if (signal == SIGRTMIN || !is_known[signal] || sigaction(signal, NULL, &now) != 0) {
            continue;
        }
        /* Only what the runtime changed: another thread may have set a handler of the engine's meanwhile. */
        int is_ignored_now = signal == SIGPIPE && now.sa_handler == SIG_IGN;
        if (is_ignored_now || lies_in_this_library(&now)) {
            sigaction(signal, &before[signal], NULL);
        }
    }
    return status;
}
