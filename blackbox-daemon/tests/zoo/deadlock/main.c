/* A worker whose two threads take two locks in opposite order, and the watchdog that ends it.
 *
 * The watchdog is process 1; the worker is its child, writes a byte to it for each job, and is ended with SIGABRT after
 * 2 s without one, as systemd's watchdog does. The watchdog says so and exits 1. */
#include "../service.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static pthread_mutex_t accounts = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t journal = PTHREAD_MUTEX_INITIALIZER;

static void transfer(pthread_mutex_t *first, pthread_mutex_t *second)
{
    pthread_mutex_lock(first);
    rest(200);
    pthread_mutex_lock(second);
    pthread_mutex_unlock(second);
    pthread_mutex_unlock(first);
}

static void *audit(void *unused)
{
    transfer(&journal, &accounts);
    return unused;
}

static void work(int heartbeat)
{
    start_service("ledger");
    for (int job = 1; job <= 3; job++) {
        if (write(heartbeat, ".", 1) != 1)
            _exit(3);
        say("job %d done", job);
        rest(100);
    }
    pthread_t auditor;
    pthread_create(&auditor, NULL, audit, NULL);
    transfer(&accounts, &journal);
    pthread_join(auditor, NULL);
    say("audit done");
    _exit(0);
}

int main(void)
{
    int ends[2];
    if (pipe(ends) != 0)
        return 3;
    pid_t worker = fork();
    if (worker == 0) {
        close(ends[0]);
        work(ends[1]);
    }
    close(ends[1]);
    struct pollfd heartbeat = {ends[0], POLLIN, 0};
    while (poll(&heartbeat, 1, 2000) == 1) {
        char byte;
        if (read(ends[0], &byte, 1) != 1)
            break;
    }
    fprintf(stderr, "watchdog: worker %d made no progress for 2 s, sending SIGABRT\n", (int)worker);
    kill(worker, SIGABRT);
    int status;
    waitpid(worker, &status, 0);
    fprintf(stderr, "watchdog: worker ended by signal %d, giving up\n", WTERMSIG(status));
    return 1;
}
