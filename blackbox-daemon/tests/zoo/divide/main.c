/* A service that computes an average over no samples: an integer division by zero, SIGFPE. */
#include "../service.h"

static volatile int samples;
static volatile int total = 4200;

__attribute__((noinline)) static int average(void)
{
    return total / samples;
}

int main(void)
{
    start_service("metrics");
    say("collected %d samples", samples);
    say("average %d", average());
    return 0;
}
