/* What the C files of this library share. Nothing here is exported. */
#ifndef KVCACHED_START_H
#define KVCACHED_START_H

#include "kvcached.h"

/* The runtime's first entry; starts the runtime. KVC_OK, or why the library can't run. */
int32_t kvc_managed_start(void);

int32_t kvc_enter_slowly(void);

/* Set once the library runs. The kernel wipes what it points at in forked children (MADV_WIPEONFORK). */
extern const volatile uint32_t *kvc_life;

/* KVC_OK when managed code may be entered: the runtime runs, and in this very process. One load in the usual case. */
static inline int32_t kvc_enter(void)
{
    const volatile uint32_t *life = __atomic_load_n(&kvc_life, __ATOMIC_ACQUIRE);
    if (__builtin_expect(life != 0 && *life != 0, 1)) {
        return KVC_OK;
    }
    return kvc_enter_slowly();
}

/* Keeps the message of a failed call for the calling thread; cut to what fits. */
void kvc_keep_error(const char *utf8, int32_t byte_count);

/* From managed code: an array of descriptors that a forked child closes, and how many of its places were ever used; free places hold 0. Call once. */
void kvc_watch_descriptors(const volatile int32_t *descriptors, int32_t capacity, const volatile int32_t *used);

/* From managed code: a descriptor that can be made readable and not; -1 when there are too many. */
int32_t kvc_open_event_descriptor(void);
void kvc_close_event_descriptor(int32_t descriptor);
void kvc_set_event_descriptor(int32_t descriptor, int32_t is_readable);
void kvc_close_event_descriptors_in_child(void);

/* Starts the runtime with the dispositions of all signals put back as they were. */
int32_t kvc_start_keeping_signals(void);

#endif
