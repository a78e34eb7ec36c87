/* A service whose configuration file is not there: open fails, perror, exit 1. */
#include "../service.h"

int main(void)
{
    start_service("billing");
    int file = open("/etc/billing/billing.conf", O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        perror("billing: /etc/billing/billing.conf");
        return 1;
    }
    close(file);
    return 0;
}
