/* The portable handler with the SDK. tests/guests/README.md specifies it for all guest languages. */
#include <ctype.h>
#include <string.h>

#include "turntable.h"

static bool is(const char *one, const char *other) { return !strcmp(one, other); }

static const char *setting(tt_turn *turn, const char *key) { return tt_text(tt_config(turn, key), "none"); }

/* --- The dialog `age`. --- */

static tt_step asked(tt_waterfall *step) {
    (void)step;
    tt_prompt age = tt_ask_for("number", "How old are you?");
    age = tt_with(age, "retry", tt_string("A number, please."));
    age = tt_with(tt_with(age, "integer", tt_bool(true)), "attempts", tt_int(3));
    return tt_prompt_step(tt_with(age, "validator", tt_string("adult")));
}

static tt_step ended(tt_waterfall *step) {
    if (!is(step->outcome.reason, "completed")) {
        tt_reply(step->turn, "Never mind.");
        return tt_cancelled();
    }
    tt_reply(step->turn, tt_format("You are %s.", tt_write(step->outcome.result)));
    return tt_done(step->outcome.result);
}

static tt_step adult(tt_turn *turn, const tt_json *value, int attempt) {
    (void)turn;
    return tt_double(value, 0) >= 18 ? tt_accept() : tt_reject(tt_format("At least 18, please (%d).", attempt));
}

static void cancelled(tt_turn *turn, const char *reason) { tt_reply(turn, tt_format("cancelled: %s", reason)); }

static const tt_dialog age = {
    .id = "age",
    .stages = (const tt_stage[]){{asked, false}, {ended, true}, {0}},
    .validators = (const tt_validator[]){{"adult", adult}, {0}},
    .on_cancelled = cancelled,
};

/* --- Handlers. --- */

static tt_flow on_event(tt_turn *turn) {
    if (!is(turn->meta.trigger, "notify")) return TT_NEXT;
    tt_send(turn, tt_format("%s %s", turn->meta.trigger, tt_text(tt_get(turn->activity, "value"), "")));
    return TT_HANDLED;
}

static tt_flow on_route(tt_turn *turn, const char *name) {
    (void)name;
    const tt_json *frames = tt_stack(turn);
    char *waiting = "";
    for (size_t at = 0; at < tt_length(frames); at++) {
        const tt_json *frame = tt_at(frames, at);
        const char *dialog = tt_text(tt_get(frame, "dialog"), ""), *waits = tt_text(tt_get(frame, "waitsFor"), "");
        waiting = tt_format("%s %s:%s", waiting, dialog, waits);
    }
    tt_reply(turn, tt_format("stopped %u%s", (unsigned)tt_cancel_all(turn), waiting));
    return TT_HANDLED;
}

static tt_json *card(tt_turn *turn) {
    tt_json *block = tt_set(tt_set(tt_object(), "type", tt_string("TextBlock")), "text", tt_config(turn, "greeting"));
    tt_json *content = tt_set(tt_set(tt_object(), "type", tt_string("AdaptiveCard")), "version", tt_string("1.4"));
    tt_set(content, "body", tt_push(tt_array(), block));
    return tt_attach(tt_message("A card"), tt_adaptive_card(content));
}

static const char *config(tt_turn *turn) {
    const tt_json *keys = tt_config_keys(turn);
    const char *joined = "";
    for (size_t at = 0; at < tt_length(keys); at++) {
        joined = tt_format("%s%s%s", joined, at ? "," : "", tt_text(tt_at(keys, at), ""));
    }
    return tt_format("greeting=%s missing=%s keys=%s", setting(turn, "greeting"), setting(turn, "missing"), joined);
}

static const char *count(tt_turn *turn) {
    double count = tt_double(tt_state(turn, "conversation", "count"), 0) + 1;
    tt_set_state(turn, "conversation", "count", tt_number(count));
    return tt_format("%.0f", count);
}

static const char *later(tt_turn *turn) {
    const char *here = tt_reference(turn);
    tt_notify(turn, here, "when-idle", tt_deliver_event("later", tt_string("now")));
    tt_json *dialog = tt_deliver_dialog("age", NULL);
    const char *id = tt_schedule(turn, "far", "2999-01-01T00:00:00Z", here, "interrupt", dialog);
    return tt_format("cancelled %s", tt_cancel(turn, id) ? "true" : "false");
}

static const char *twice(tt_turn *turn) {
    const char *one = tt_reply(turn, "one"), *two = tt_send(turn, "two");
    return one && two ? tt_format("%.3s,%.3s", one, two) : "";
}

static const char *greeting(tt_turn *turn, const char *text) {
    const tt_json *from = tt_get(turn->activity, "from");
    const char *name = tt_text(tt_get(from, "name"), tt_text(tt_get(from, "id"), ""));
    return tt_format("%s, %s: %s", setting(turn, "greeting"), name, text);
}

/* Returns the text that answers a text. */
static const char *answer(tt_turn *turn, const char *text) {
    const tt_meta *meta = &turn->meta;
    if (!strncmp(text, "note ", 5)) return tt_overwrite_state(turn, "user", "note", tt_string(text + 5)) ? "noted" : "";
    if (is(text, "meta")) {
        const char *locale = meta->locale ? meta->locale : "none";
        return tt_format("%s %s %s %s %s", meta->kind, meta->trigger, meta->channel_id, locale, meta->conversation_id);
    }
    if (is(text, "config")) return config(turn);
    if (is(text, "log")) {
        tt_log(turn, "info", "portable log", "text", text, NULL);
        return "logged";
    }
    if (is(text, "twice")) return twice(turn);
    if (is(text, "recall")) return tt_format("note %s", tt_text(tt_state(turn, "user", "note"), "none"));
    if (is(text, "forget")) return tt_remove_state(turn, "user", "note") ? "forgotten" : "";
    if (is(text, "count")) return count(turn);
    return is(text, "later") ? later(turn) : greeting(turn, text);
}

static tt_flow on_message(tt_turn *turn) {
    const char *text = tt_turn_text(turn);
    if (is(text, "next")) return TT_NEXT;
    if (is(text, "card")) {
        tt_reply_activity(turn, card(turn));
    } else if (is(text, "fault")) {
        tt_fail(turn, "invalid", "asked to fail");
    } else if (is(text, "ask")) {
        tt_begin(turn, "age", NULL);
    } else {
        tt_reply(turn, answer(turn, text));
    }
    return TT_HANDLED;
}

/* --- Middleware. --- */

static tt_passage on_receive(tt_turn *turn) {
    const char *text = tt_turn_text(turn);
    if (is(text, "secret")) return TT_STOP;
    return is(text, "swap") ? TT_REPLACE(tt_set(tt_copy(turn->activity), "text", tt_string("swapped"))) : TT_PASS;
}

/* Returns a text in capitals, also the letters with two bytes that German has. */
static char *capitals(const char *text) {
    char *loud = tt_format("%s!", text);
    for (unsigned char *at = (unsigned char *)loud; *at; at++) {
        if (at[0] == 0xc3 && at[1] >= 0xa0) {
            *++at -= 0x20;
        } else if (*at < 0x80) {
            *at = (unsigned char)toupper(*at);
        }
    }
    return loud;
}

static tt_passage on_send(tt_turn *turn, const tt_json *activity) {
    (void)turn;
    const char *text = tt_text(tt_get(activity, "text"), "");
    if (strstr(text, "hush")) return TT_STOP;
    return strstr(text, "loud") ? TT_REPLACE(tt_set(tt_copy(activity), "text", tt_string(capitals(text)))) : TT_PASS;
}

tt_bot turntable_bot = {
    .name = "portable",
    .version = "0.1.0",
    .activities = (const char *const[]){"message", "event", NULL},
    .routes = (const tt_route[]){{.name = "stop", .pattern = "stop", .after = "none"}, {0}},
    .state = (const char *const[]){"conversation", "user", NULL},
    .conversations = true,
    .dialogs = (const tt_dialog *const[]){&age, NULL},
    .on_message = on_message,
    .on_event = on_event,
    .on_route = on_route,
    .on_receive = on_receive,
    .on_send = on_send,
};
