/* Runs one case by its name; --list names all, --layout prints the structs. Exit code 0: as it should be. */
#include <string.h>
#include <unistd.h>

#include <kvcached.h>

#include "check.h"

int main(int count, char **arguments)
{
    const test_case *tables[] = {call_cases, signal_cases, fork_cases, thread_cases};
    const char *wanted = count == 2 ? arguments[1] : "";
    if (strcmp(wanted, "--layout") == 0) {
        print_layout();
        return 0;
    }
    for (size_t table = 0; table < sizeof tables / sizeof tables[0]; table++) {
        for (const test_case *found = tables[table]; found->name != NULL; found++) {
            if (strcmp(wanted, "--list") == 0) {
                puts(found->name);
            } else if (strcmp(wanted, found->name) == 0) {
                found->run();
                return 0;
            }
        }
    }
    if (strcmp(wanted, "--list") != 0) {
        fprintf(stderr, "usage: %s CASE | --list | --layout\n", arguments[0]);
        return 2;
    }
    return 0;
}
