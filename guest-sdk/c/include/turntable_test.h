/* The test host: runs the bot of a program in any C compiler, without WebAssembly.
 *
 * The command `turntable testbed` leads the turns, so routes, dialogs and prompts behave as in the host. The program is found on
 * the PATH, or through the variable TURNTABLE. Compile the files of the bot, of `src` and `testing/testhost.c` together:
 *
 *     #include "turntable_test.h"
 *
 *     int main(void) {
 *         TT_EXPECT(tt_test_says("hello"), "Echo: hello");
 *         return tt_test_end();
 *     }
 */
#ifndef TURNTABLE_TEST_H
#define TURNTABLE_TEST_H

#include "turntable.h"

/* Sends a message and returns the texts of the messages that answer it, a line each. State and dialogs last. */
const char *tt_test_says(const char *text);
/* Sends an activity and returns what the turn did: an object with `flow`, `fault`, `sent` (objects with `id`, `as` and `activity`),
 * `response`, `log`, `asked` and `stack`. */
tt_json *tt_test_takes(const tt_json *activity);
/* Returns the messages among what was sent. */
tt_json *tt_test_messages(const tt_json *answer);
/* Sets a setting of the operator. */
void tt_test_setting(const char *key, const tt_json *value);
/* Chooses the user and the conversation of the next turns. Each has state and dialogs of its own. */
void tt_test_as(const char *user, const char *conversation);

/* Compares two texts and reports a difference with its file and line. */
#define TT_EXPECT(actual, expected) tt_test_expect(__FILE__, __LINE__, (actual), (expected))
void tt_test_expect(const char *file, int line, const char *actual, const char *expected);
/* Reports the number of differences, and returns the exit code of the program. */
int tt_test_end(void);

#endif
