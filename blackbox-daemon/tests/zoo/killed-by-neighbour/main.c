/* A service that does its work until a process of another container kills it. Gives up after 20 s: exit 9. */
#include "../service.h"

int main(void)
{
    start_service("cache");
    for (int round = 0; round < 20; round++) {
        try_optional("./warm.snapshot");
        rest(1000);
    }
    return 9;
}
