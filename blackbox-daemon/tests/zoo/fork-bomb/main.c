/* A service that starts helpers which start helpers, until the pids limit: fork says EAGAIN, and the service exits 1.
 *
 * Bounded thrice: by the pids limit it is run with, by 400 processes, and by the end of its pid namespace. */
#include "../service.h"

static void help(int left)
{
    while (left-- > 0) {
        pid_t child = fork();
        if (child < 0)
            break;
        if (child == 0) {
            help(left / 2);
            rest(30000);
            _exit(0);
        }
    }
}

int main(void)
{
    start_service("converter");
    for (int file = 1; file <= 400; file++) {
        pid_t child = fork();
        if (child < 0) {
            fprintf(stderr, "converter: file %d: cannot start a helper: %s\n", file, strerror(errno));
            return 1;
        }
        if (child == 0) {
            help(2);
            rest(30000);
            _exit(0);
        }
        if (file % 5 == 0)
            say("%d files in work", file);
        rest(10);
    }
    return 0;
}
