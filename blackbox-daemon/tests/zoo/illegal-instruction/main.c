/* A service that chooses a code path for a processor it does not run on: ud2, SIGILL. */
#include "../service.h"

__attribute__((noinline)) static int checksum_fast(int seed)
{
    if (seed >= 0)
        __asm__ volatile("ud2");
    return seed ^ 0x5a5a;
}

int main(void)
{
    start_service("checksum");
    say("using the fast path");
    say("checksum %d", checksum_fast((int)getpid()));
    return 0;
}
