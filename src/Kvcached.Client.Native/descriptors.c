/* Descriptors on which engines wait for events. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "start.h"

#define MAX_EVENT_DESCRIPTORS 1024
#define LOWEST_DESCRIPTOR 1024 /* engines use select() */

/* 0 where there is none; read by the handler in forked children. */
static volatile int32_t open_descriptors[MAX_EVENT_DESCRIPTORS];
static pthread_mutex_t descriptors_lock = PTHREAD_MUTEX_INITIALIZER;

int32_t kvc_open_event_descriptor(void)
{
    int opened = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (opened < 0) {
        return -1;
    }
    int descriptor = fcntl(opened, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR);
    if (descriptor < 0) {
        descriptor = opened; /* the limit is too low for that */
    } else {
        close(opened);
    }
    int is_kept = 0;
    pthread_mutex_lock(&descriptors_lock);
    for (int i = 0; i < MAX_EVENT_DESCRIPTORS && !is_kept; i++) {
        if (open_descriptors[i] == 0) {
            open_descriptors[i] = descriptor;
            is_kept = 1;
        }
    }
    pthread_mutex_unlock(&descriptors_lock);
    if (!is_kept) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

void kvc_close_event_descriptor(int32_t descriptor)
{
    pthread_mutex_lock(&descriptors_lock);
    for (int i = 0; i < MAX_EVENT_DESCRIPTORS; i++) {
        if (open_descriptors[i] == descriptor) {
            open_descriptors[i] = 0; /* before it is closed and its number used anew */
        }
    }
    pthread_mutex_unlock(&descriptors_lock);
    close(descriptor);
}

void kvc_set_event_descriptor(int32_t descriptor, int32_t is_readable)
{
    uint64_t value = 1;
    ssize_t done;
    do {
        done = is_readable ? write(descriptor, &value, sizeof value) : read(descriptor, &value, sizeof value);
    } while (done < 0 && errno == EINTR);
}

void kvc_close_event_descriptors_in_child(void)
{
    for (int i = 0; i < MAX_EVENT_DESCRIPTORS; i++) {
        if (open_descriptors[i] > 0) {
            close(open_descriptors[i]);
        }
    }
}
