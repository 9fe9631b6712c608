/* Compile and run it with any C compiler; it needs the program `turntable` on the PATH:
 *
 *     S=turntable/guest-sdk/c; cc -I $S/include bot.c $S/src/*.c $S/testing/*.c tests/test_bot.c -o build/test && build/test */
#include "turntable_test.h"

int main(void) {
    TT_EXPECT(tt_test_says("hello"), "Echo: hello");
    return tt_test_end();
}
