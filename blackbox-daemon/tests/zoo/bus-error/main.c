/* A service that maps a file which is then truncated: a read beyond its end, SIGBUS. */
#include "../service.h"
#include <sys/mman.h>

#define PAGES 4
#define PAGE 4096

int main(void)
{
    start_service("store");
    int file = open("segment.db", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0 || ftruncate(file, PAGES * PAGE) != 0) {
        perror("store: segment.db");
        return 3;
    }
    volatile char *segment = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (segment == MAP_FAILED) {
        perror("store: mmap");
        return 3;
    }
    segment[0] = 'x';
    say("segment mapped, %d pages", PAGES);
    /* A rotation that forgets who has it mapped. */
    if (ftruncate(file, PAGE) != 0)
        return 3;
    say("segment rotated");
    rest(50);
    say("last byte %d", segment[PAGES * PAGE - 1]);
    return 0;
}
