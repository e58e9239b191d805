/* A check that fails ends the process and says where and what. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(condition)                                                                                              \
    do {                                                                                                              \
        if (!(condition)) {                                                                                           \
            fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition, kvc_last_error()); \
            _exit(1);                                                                                                 \
        }                                                                                                             \
    } while (0)

#define CHECK_STATUS(expected, call)                                                                             \
    do {                                                                                                         \
        int32_t got_ = (call);                                                                                   \
        if (got_ != (expected)) {                                                                                \
            fprintf(stderr, "%s:%d: %s gave %d %s instead of %s: %s\n", __FILE__, __LINE__, #call, got_,         \
                kvc_status_name(got_), kvc_status_name(expected), kvc_last_error());                             \
            _exit(1);                                                                                            \
        }                                                                                                        \
    } while (0)

/* The cases of each file; a name leads to a function. */
typedef struct test_case {
    const char *name;
    void (*run)(void);
} test_case;

extern const test_case call_cases[];
extern const test_case signal_cases[];
extern const test_case fork_cases[];
extern const test_case thread_cases[];

void print_layout(void);

#endif
