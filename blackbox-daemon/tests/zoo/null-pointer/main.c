/* A service that uses the result of a lookup that found nothing: a read near address 0, SIGSEGV.
 *
 * Built with -O2 -fomit-frame-pointer: its stack cannot be walked by frame pointers. */
#include "../service.h"

struct session {
    long id;
    long expires;
    char user[32];
};

static struct session *sessions[4];

__attribute__((noinline)) static struct session *find_session(unsigned long id)
{
    return ((struct session *volatile *)sessions)[id % 4];
}

__attribute__((noinline)) static long expiry_of(unsigned long id)
{
    return ((volatile struct session *)find_session(id))->expires;
}

int main(void)
{
    start_service("sessions");
    say("request for session 7");
    say("session 7 expires at %ld", expiry_of(7));
    return 0;
}
