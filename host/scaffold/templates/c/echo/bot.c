/* A bot that repeats what the user says. */
#include "turntable.h"

static tt_flow on_message(tt_turn *turn) {
    tt_reply(turn, tt_format("Echo: %s", tt_turn_text(turn)));
    return TT_HANDLED;
}

tt_bot turntable_bot = {
    .name = "{{name}}",
    .on_message = on_message,
};
