/* A service that drops its rights and then needs a file that only root may read: EACCES, exit 1. */
#include "../service.h"
#include <grp.h>

#define NOBODY 65534

int main(void)
{
    start_service("vault");
    if (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        perror("vault: cannot drop rights");
        return 3;
    }
    say("running as user %d", (int)getuid());
    rest(100);
    int key = open("./master.key", O_RDONLY | O_CLOEXEC);
    if (key < 0) {
        perror("vault: ./master.key");
        return 1;
    }
    say("key opened");
    return 0;
}
