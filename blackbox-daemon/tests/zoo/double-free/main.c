/* A service that frees one buffer twice: glibc says "free(): double free detected" and aborts.
 *
 * Run under an init, for process 1 does not take its own SIGABRT. */
#include "../service.h"

static char *volatile response;

static void send_response(void)
{
    say("response of %zu bytes sent", strlen(response));
    free(response);
}

static void close_connection(void)
{
    free(response);
}

int main(void)
{
    start_service("proxy");
    response = strdup("HTTP/1.1 204 No Content");
    send_response();
    close_connection();
    say("connection closed");
    return 0;
}
