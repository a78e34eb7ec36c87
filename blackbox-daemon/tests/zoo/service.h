/* What every service in C of the zoo does first: log lines, optional files that are not there, half a second of work.
 *
 * Reads nothing that matters. The failing calls are as harmless as those of any program: no cause may be read from
 * them. */
#ifndef ZOO_SERVICE_H
#define ZOO_SERVICE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* One log line on standard output, with the time. */
__attribute__((unused, format(printf, 1, 2))) static void say(const char *format, ...)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char line[512];
    int at = snprintf(line, sizeof line, "%lld.%03ld INFO ", (long long)now.tv_sec, now.tv_nsec / 1000000);
    va_list list;
    va_start(list, format);
    vsnprintf(line + at, sizeof line - (size_t)at, format, list);
    va_end(list);
    puts(line);
    fflush(stdout);
}

__attribute__((unused)) static void rest(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

/* Tries a file that need not be there. */
__attribute__((unused)) static void try_optional(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0)
        close(file);
    else
        say("no %s, going on without it", path);
}

/* Starts like a service: about 0.6 s. */
__attribute__((unused)) static void start_service(const char *name)
{
    say("%s starting, pid %d", name, (int)getpid());
    try_optional("/etc/zoo/local.conf");
    try_optional("./override.conf");
    if (mkdir("/tmp", 0755) != 0 && errno == EEXIST)
        say("using /tmp for temporary files");
    char link[64];
    if (readlink("/etc/hostname", link, sizeof link) < 0)
        say("the host name is not a link");
    for (int round = 1; round <= 3; round++) {
        rest(200);
        say("health check %d: ok", round);
    }
    say("%s ready", name);
}

#endif
