// Counts and times the driver's memory calls of a process, whoever makes them, those linked against and those found by dlsym, and its ioctl calls. For LD_PRELOAD.
// The counts lie in a file that VS_COUNTS names, so that another process reads them while this one runs: per call two 64-bit words, count and nanoseconds,
// in the order of CALLS, then ioctl. A process that dies of a signal leaves its native stack in its standard error.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CALLS(each)                     \
    each(0, cuMemCreate)                \
    each(1, cuMemRelease)               \
    each(2, cuMemMap)                   \
    each(3, cuMemSetAccess)             \
    each(4, cuMemUnmap)                 \
    each(5, cuMemExportToShareableHandle) \
    each(6, cuMemImportFromShareableHandle)

enum { IOCTL = 7, CALL_COUNT = 8 }; // what the driver asks of its kernel module, whatever for

struct counter {
    _Atomic uint64_t count;
    _Atomic uint64_t nanoseconds;
};

// All these functions take at most six arguments of the size of a register, and return an int.
typedef int (*call)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t);

static struct counter own[CALL_COUNT];
static struct counter *counters = own;
static call found[CALL_COUNT];
static void *(*next_dlsym)(void *, const char *);

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void find_dlsym(void) {
    if (next_dlsym) return;
    next_dlsym = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    if (!next_dlsym) next_dlsym = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    if (!next_dlsym) next_dlsym = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.17");
    if (!next_dlsym) abort();
}

static call real(int number, const char *name) {
    if (!found[number]) {
        find_dlsym();
        void *driver = dlopen("libcuda.so.1", RTLD_LAZY);
        found[number] = driver ? (call)next_dlsym(driver, name) : 0;
    }
    return found[number];
}

static int counted(int number, const char *name, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e, uintptr_t f) {
    call function = real(number, name);
    if (!function) return 3; // CUDA_ERROR_NOT_INITIALIZED
    uint64_t before = now();
    int result = function(a, b, c, d, e, f);
    atomic_fetch_add_explicit(&counters[number].nanoseconds, now() - before, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters[number].count, 1, memory_order_relaxed);
    return result;
}

#define WRAPPER(number, name)                                                                                  \
    __attribute__((visibility("default"))) int name(uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e, uintptr_t f) { \
        return counted(number, #name, a, b, c, d, e, f);                                                       \
    }
CALLS(WRAPPER)

__attribute__((visibility("default"))) int ioctl(int file, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    uint64_t before = now();
    long result = syscall(SYS_ioctl, file, request, argument); // sets errno as ioctl does
    atomic_fetch_add_explicit(&counters[IOCTL].nanoseconds, now() - before, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters[IOCTL].count, 1, memory_order_relaxed);
    return (int)result;
}

__attribute__((visibility("default"))) void *dlsym(void *handle, const char *name) {
    find_dlsym();
    if (handle != RTLD_NEXT) {
#define ANSWER(number, known) if (!strcmp(name, #known)) return (void *)known;
        CALLS(ANSWER)
    }
    return next_dlsym(handle, name); // by a jump: RTLD_NEXT is about the caller of this function
}

static void say_where(int number) {
    void *stack[64];
    static const char title[] = "\nnative stack of the thread that failed:\n";
    if (write(2, title, sizeof title - 1)) {}
    backtrace_symbols_fd(stack, backtrace(stack, 64), 2);
    signal(number, SIG_DFL);
    raise(number);
}

__attribute__((constructor)) static void start(void) {
    find_dlsym();
    const char *path = getenv("VS_COUNTS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *shared = mmap(0, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (shared != MAP_FAILED) counters = shared;
        close(file);
    }
    if (getenv("VS_STACKS")) {
        void *stack[1];
        backtrace(stack, 1); // loads what it needs, while that is allowed
        signal(SIGSEGV, say_where);
        signal(SIGBUS, say_where);
        signal(SIGABRT, say_where);
    }
}
