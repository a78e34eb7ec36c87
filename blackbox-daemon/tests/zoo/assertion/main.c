/* A service with an invariant that does not hold: assert, SIGABRT. Run under an init. */
#include "../service.h"
#include <assert.h>

static int stock = 3;

__attribute__((noinline)) static void sell(int count)
{
    stock -= count;
    assert(stock >= 0);
    say("sold %d, %d left", count, stock);
}

int main(void)
{
    start_service("shop");
    sell(1);
    sell(1);
    rest(50);
    sell(2);
    return 0;
}
