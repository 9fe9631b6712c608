/* A bot that takes orders, and remembers how many each user has. */
#include <string.h>

#include "turntable.h"

static const tt_json *keep(tt_turn *turn, const char *idempotency_key, void *data) {
    (void)idempotency_key, (void)data;
    tt_json *orders = tt_number(tt_double(tt_state(turn, "user", "orders"), 0) + 1);
    tt_set_state(turn, "user", "orders", orders);
    return orders;
}

/* The SDK runs the function again from the start after each answer and skips what it has done already. */
static const tt_json *run_order(tt_dialogue *d) {
    TT_AWAIT(const tt_json *what, tt_ask(d, tt_named(tt_ask_for("text", "What would you like?"), "what")));
    tt_prompt number = tt_with(tt_named(tt_ask_for("number", "How many?"), "count"), "integer", tt_bool(true));
    number = tt_with(tt_with(number, "min", tt_int(1)), "retry", tt_string("A whole number from 1, please."));
    TT_AWAIT(const tt_json *count, tt_ask(d, number));
    const char *question = tt_format("%s × %s?", tt_write(count), tt_text(what, ""));
    TT_AWAIT(const tt_json *sure, tt_ask(d, tt_named(tt_ask_for("confirm", question), "sure")));
    if (!tt_true(sure, false)) return tt_say(d, "Nothing is ordered.");
    double orders = tt_double(tt_once(d, "keep", keep, NULL), 0);
    return tt_say(d, tt_format("Ordered. You have %.0f order%s.", orders, orders == 1 ? "" : "s"));
}

static const tt_dialog order = {.id = "order", .run = run_order};

static tt_flow on_message(tt_turn *turn) {
    if (!strcmp(tt_spoken_text(turn), "order")) {
        tt_begin(turn, "order", NULL);
    } else {
        tt_reply(turn, "Say «order» to order something.");
    }
    return TT_HANDLED;
}

tt_bot turntable_bot = {
    .name = "{{name}}",
    .activities = (const char *const[]){"message", NULL},
    .state = (const char *const[]){"user", NULL},
    .dialogs = (const tt_dialog *const[]){&order, NULL},
    .on_message = on_message,
};
