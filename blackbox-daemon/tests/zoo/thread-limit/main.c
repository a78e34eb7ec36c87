/* A service with one thread per connection and no bound: pthread_create says EAGAIN at the pids limit, exit 1. */
#include "../service.h"
#include <pthread.h>

static void *serve(void *connection)
{
    (void)connection;
    for (;;)
        rest(1000);
}

int main(void)
{
    start_service("chat");
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    for (int connection = 1;; connection++) {
        pthread_t thread;
        int error = pthread_create(&thread, &small, serve, NULL);
        if (error != 0) {
            fprintf(stderr, "chat: connection %d: cannot start a thread: %s\n", connection, strerror(error));
            return 1;
        }
        if (connection % 10 == 0)
            say("%d connections", connection);
        rest(5);
    }
}
