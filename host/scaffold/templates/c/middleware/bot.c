/* Middleware that removes «please» from what users say, and ends every answer with an exclamation mark. */
#include <string.h>

#include "turntable.h"

static tt_flow on_message(tt_turn *turn) {
    tt_reply(turn, tt_format("You said: %s", tt_turn_text(turn)));
    return TT_HANDLED;
}

static tt_passage on_receive(tt_turn *turn) {
    const char *text = tt_turn_text(turn);
    if (strncmp(text, "please ", 7)) return TT_PASS;
    return TT_REPLACE(tt_set(tt_copy(turn->activity), "text", tt_string(text + 7)));
}

static tt_passage on_send(tt_turn *turn, const tt_json *activity) {
    (void)turn;
    const char *text = tt_text(tt_get(activity, "text"), NULL);
    if (!text) return TT_PASS;
    return TT_REPLACE(tt_set(tt_copy(activity), "text", tt_string(tt_format("%s!", text))));
}

tt_bot turntable_bot = {
    .name = "{{name}}",
    .on_message = on_message,
    .on_receive = on_receive,
    .on_send = on_send,
};
