/* A service that takes one block of memory far above its limit and fills it: killed by its memory cgroup. */
#include "../service.h"

#define INDEX_BYTES (512UL << 20)

int main(void)
{
    start_service("search");
    say("building the index: %lu MiB", INDEX_BYTES >> 20);
    char *index = malloc(INDEX_BYTES);
    if (index == NULL) {
        perror("search: malloc");
        return 1;
    }
    for (volatile char *page = index; page < index + INDEX_BYTES; page += 4096)
        *page = 0x5a;
    say("index built, first byte %d", index[0]);
    return 0;
}
