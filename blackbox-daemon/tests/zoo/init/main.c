/* The zoo's init: what tini and `docker run --init` do for a program that must not be process 1.
 *
 * Starts the program in its arguments, waits for it, and exits with its code, or with 128 + the signal that ended it.
 * Process 1 of a pid namespace takes no signal it has no handler for, its own abort() included: programs that abort
 * are run under an init, in real containers too. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    if (count < 2) {
        fprintf(stderr, "usage: zoo-init PROGRAM [ARGUMENT…]\n");
        return 2;
    }
    pid_t child = fork();
    if (child < 0) {
        perror("zoo-init: fork");
        return 1;
    }
    if (child == 0) {
        execvp(arguments[1], arguments + 1);
        perror(arguments[1]);
        _exit(127);
    }
    for (;;) {
        int status;
        pid_t ended = wait(&status);
        if (ended != child)
            continue; /* an orphan it inherited */
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
}
