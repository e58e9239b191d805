/* The first call starts the runtime; a process that was forked off afterwards never enters it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "start.h"

#define MAX_ERROR_BYTES 2048

const volatile uint32_t *kvc_life;

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static volatile uint32_t *life_page; /* set when the runtime begins to start */
static int32_t start_status = KVC_OK;
static int is_started;
static __thread char last_error[MAX_ERROR_BYTES];

static const volatile int32_t *watched_descriptors;
static const volatile int32_t *watched_used; /* places beyond this number were never used */
static int32_t watched_capacity;

/*
 * Runs in the child, which has one thread and whose heap may be in mid-change: system calls only. It closes the child's copies of the
 * library's descriptors, so that the memory behind them is not held by a process that can't use it. (Main memory is mapped so that children don't
 * get it.) The session and the files' own state are the parent's and stay as they are.
 */
static void leave_in_child(void)
{
    if (life_page == NULL) {
        start_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; /* nothing was started: this process may */
        return;
    }
    *life_page = 0;
    const volatile int32_t *descriptors = __atomic_load_n(&watched_descriptors, __ATOMIC_ACQUIRE);
    for (int32_t i = 0; descriptors != NULL && i < watched_capacity && i < *watched_used; i++) {
        int32_t descriptor = descriptors[i];
        if (descriptor > 0) {
            close(descriptor);
        }
    }
    kvc_close_event_descriptors_in_child();
}

/* Loading the library does no more than this. */
__attribute__((constructor)) static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, leave_in_child);
}

/* Children that were made without running the handlers of pthread_atfork find a wiped page; kernels before 4.14 don't wipe. */
static int mark_as_alive(void)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return 0;
    }
    (void)madvise(page, page_bytes, MADV_WIPEONFORK);
    *(uint32_t *)page = 1;
    __atomic_store_n(&life_page, page, __ATOMIC_RELEASE);
    return 1;
}

static int32_t fail(int32_t status, const char *message)
{
    kvc_keep_error(message, (int32_t)strlen(message));
    return status;
}

int32_t kvc_enter_slowly(void)
{
    const volatile uint32_t *life = __atomic_load_n(&life_page, __ATOMIC_ACQUIRE);
    if (life != NULL && *life == 0) {
        return fail(KVC_ERROR_FORKED,
            "This process was forked from one that had started kvcached, so it can't use the library. Start workers before the first call, or with "
            "a fresh interpreter (spawn).");
    }

    pthread_mutex_lock(&start_lock);
    if (!is_started) {
        is_started = 1;
        start_status = mark_as_alive() ? kvc_start_keeping_signals() : KVC_ERROR_INTERNAL;
        if (start_status == KVC_OK) {
            __atomic_store_n(&kvc_life, life_page, __ATOMIC_RELEASE);
        }
    }
    int32_t status = start_status;
    pthread_mutex_unlock(&start_lock);
    return status == KVC_OK ? KVC_OK : fail(status, "The library could not start; memory or address space may be short in this process.");
}

void kvc_keep_error(const char *utf8, int32_t byte_count)
{
    size_t count = byte_count < 0 ? 0 : (size_t)byte_count;
    if (count > MAX_ERROR_BYTES - 1) {
        count = MAX_ERROR_BYTES - 1;
        while (count > 0 && ((unsigned char)utf8[count] & 0xC0) == 0x80) {
            count--; /* not in the middle of a character */
        }
    }
    memcpy(last_error, utf8, count);
    last_error[count] = '\0';
}

const char *kvc_last_error(void)
{
    return last_error;
}

void kvc_watch_descriptors(const volatile int32_t *descriptors, int32_t capacity, const volatile int32_t *used)
{
    watched_capacity = capacity;
    watched_used = used;
    __atomic_store_n(&watched_descriptors, descriptors, __ATOMIC_RELEASE);
}
