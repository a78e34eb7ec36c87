/* A parser that descends into nested input without a bound, until its stack ends: SIGSEGV. */
#include "../service.h"

/* The depth of a nesting that has no end. */
__attribute__((noinline)) static long depth_of(volatile const char *input, long depth)
{
    volatile char frame[512];
    frame[depth % 512] = input[0];
    if (input[0] != '[')
        return depth;
    return depth_of(input, depth + 1) + frame[0];
}

int main(void)
{
    start_service("parser");
    say("parsing a document");
    volatile char document[2] = "[";
    say("depth %ld", depth_of(document, 0));
    return 0;
}
