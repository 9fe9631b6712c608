/* The counterpart of tests/guests/parity/src/lib.rs, which holds the same conversations in Rust. */
#include <string.h>

#include "dialogs.h"

static bool is(const char *one, const char *other) { return !strcmp(one, other); }

static tt_flow on_message(tt_turn *turn) {
    const char *text = tt_turn_text(turn);
    if (!strncmp(text, "begin ", 6)) {
        tt_begin(turn, text + 6, tt_set(tt_object(), "by", tt_string("message")));
    } else if (!strncmp(text, "replace ", 8)) {
        tt_replace(turn, text + 8, NULL);
    } else if (is(text, "fault")) {
        tt_fail(turn, "internal", "broken");
    } else {
        tt_reply(turn, tt_format("heard %s", text));
    }
    return TT_HANDLED;
}

static tt_flow on_event(tt_turn *turn) {
    tt_reply(turn, tt_format("event %s", tt_text(tt_get(turn->activity, "name"), "")));
    return TT_HANDLED;
}

static const char *shown(tt_turn *turn) {
    const tt_json *frames = tt_stack(turn);
    const char *text = "";
    for (size_t at = 0; at < tt_length(frames); at++) {
        const tt_json *frame = tt_at(frames, at);
        const char *dialog = tt_text(tt_get(frame, "dialog"), ""), *waits = tt_text(tt_get(frame, "waitsFor"), "");
        text = tt_format("%s%s%s:%s", text, at ? " " : "", dialog, waits);
    }
    return text;
}

static tt_flow on_route(tt_turn *turn, const char *name) {
    if (is(name, "aside")) {
        tt_begin(turn, "aside", NULL);
        return TT_HANDLED;
    }
    if (is(name, "again")) name = tt_reprompt(turn) ? "true" : "false";
    if (is(name, "cancel") || is(name, "leave")) name = tt_format("cancelled %u", (unsigned)tt_cancel_all(turn));
    tt_reply(turn, is(name, "stack") ? shown(turn) : name);
    return TT_HANDLED;
}

/* It ends with the release of the plugin. tests/spec/parity.rs changes the digit in the component. */
volatile char parity_marker[] = "RELEASE-1";

int parity_release(void) { return parity_marker[8] - '0'; }

tt_bot turntable_bot = {
    .name = "parity",
    .routes =
        (const tt_route[]){
            {.name = "help", .pattern = "help"},
            {.name = "quiet", .pattern = "quiet", .after = "none"},
            {.name = "aside", .pattern = "aside"},
            {.name = "again", .pattern = "again", .after = "none"},
            {.name = "cancel", .pattern = "cancel"},
            {.name = "leave", .pattern = "leave", .confirm = "Leave it?"},
            {.name = "stack", .pattern = "stack", .after = "none"},
            {0},
        },
    .on_message = on_message,
    .on_event = on_event,
    .on_route = on_route,
};

/* Chooses the dialogs of the release before anything else runs. */
__attribute__((constructor)) static void choose(void) { turntable_bot.dialogs = parity_dialogs(parity_release()); }
