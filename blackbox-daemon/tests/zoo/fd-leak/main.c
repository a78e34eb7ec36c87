/* A service that opens a file for each request and closes none, until it has no descriptor left (EMFILE): exit 1. */
#include "../service.h"

/* Handles one request; forgets to close what it opened. */
static int handle(int request)
{
    int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        fprintf(stderr, "gateway: request %d: cannot open the user table: %s\n", request, strerror(errno));
        return -1;
    }
    char first;
    return read(file, &first, 1) == 1 ? 0 : -1;
}

int main(void)
{
    start_service("gateway");
    for (int request = 1;; request++) {
        if (handle(request) != 0)
            return 1;
        if (request % 10 == 0)
            say("%d requests served", request);
        rest(10);
    }
}
