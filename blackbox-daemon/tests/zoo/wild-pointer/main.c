/* A service that follows a pointer out of a freed and reused buffer: an address that is not its own, SIGSEGV. */
#include "../service.h"

struct job {
    struct job *next;
    long number;
};

__attribute__((noinline)) static long last_number(volatile struct job *job)
{
    long number = 0;
    for (; job != NULL; job = job->next)
        number = job->number;
    return number;
}

int main(void)
{
    start_service("queue");
    struct job *job = malloc(sizeof *job);
    if (job == NULL)
        return 1;
    job->next = NULL;
    job->number = 41;
    say("last job is %ld", last_number(job));
    struct job *volatile stale = job;
    free(job);
    /* The next request's text lands in the same memory. */
    char *text = malloc(sizeof *job);
    if (text == NULL)
        return 1;
    memcpy(text, "QWERTY\0\0UIOPAS\0", sizeof *job);
    say("request text at %s", text);
    say("last job is %ld", last_number(stale));
    return 0;
}
