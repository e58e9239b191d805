/* Threads of the engine, and what else the library brings into its process. */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <kvcached.h>

#include "use.h"

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

const test_case thread_cases[] = {
    {"threads_of_the_engine_may_call", threads_of_the_engine_may_call},
    {"each_thread_has_its_own_last_error", each_thread_has_its_own_last_error},
    {"no_other_library_comes_along", no_other_library_comes_along},
    {NULL, NULL},
};
