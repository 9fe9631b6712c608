/* Prompts, steps, waterfalls, and what the styles of dialogs share. */
#include <string.h>

#include "internal.h"

uint64_t tt_fnv(const char *text) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

/* It detects that a text was edited; it protects against nothing. */
const char *tt_hashed(const char *text) { return tt_format("%016llx", (unsigned long long)tt_fnv(text)); }

tt_prompt tt_ask_with(const char *kind, const tt_json *activity) {
    tt_json *definition = tt_set(tt_object(), "kind", tt_string(kind));
    return (tt_prompt){tt_set(definition, "prompt", activity), NULL};
}

tt_prompt tt_ask_for(const char *kind, const char *question) { return tt_ask_with(kind, tt_string(question)); }

tt_prompt tt_with(tt_prompt prompt, const char *option, const tt_json *value) {
    tt_set(prompt.definition, option, value);
    return prompt;
}

tt_prompt tt_named(tt_prompt prompt, const char *name) {
    prompt.name = name;
    return prompt;
}

tt_prompt tt_choice(tt_prompt prompt, const char *value) {
    tt_json *choices = tt_get(prompt.definition, "choices");
    if (!choices) tt_set(prompt.definition, "choices", choices = tt_array());
    tt_push(choices, tt_string(value));
    return prompt;
}

static tt_step step(const char *kind, const tt_json *data) { return (tt_step){kind, data, NULL}; }

static tt_step begins(const char *kind, const char *dialog, const tt_json *options) {
    return step(kind, tt_set(tt_set(tt_object(), "dialog", tt_string(dialog)), "options", options));
}

tt_step tt_wait(void) { return step("wait", NULL); }
tt_step tt_wait_for(const char *type) {
    return step("wait", tt_set(tt_object(), "activities", tt_push(tt_array(), tt_string(type))));
}
tt_step tt_prompt_step(tt_prompt prompt) { return step("prompt", prompt.definition); }
tt_step tt_call_step(const char *dialog, const tt_json *options) { return begins("call", dialog, options); }
tt_step tt_replace_step(const char *dialog, const tt_json *options) { return begins("replace", dialog, options); }
tt_step tt_done(const tt_json *result) { return step("done", result); }
tt_step tt_cancelled(void) { return step("cancelled", NULL); }
tt_step tt_flush_step(void) { return step("flush", NULL); }
tt_step tt_ignored(void) { return step("ignored", NULL); }
tt_step tt_accept(void) { return step("accept", NULL); }
tt_step tt_accept_as(const tt_json *value) { return step("accept", value); }
tt_step tt_reject(const char *question) {
    return step("reject", question ? tt_set(tt_object(), "retry", tt_string(question)) : NULL);
}
tt_step tt_next(const tt_json *result) { return step("next", result); }

tt_step tt_wait_after(tt_waterfall *waterfall, const char *question) {
    waterfall->asked = tt_message(question);
    tt_reply_activity(waterfall->turn, waterfall->asked);
    return tt_wait();
}

tt_outcome tt_outcome_of(tt_event_of_dialog event) {
    if (strcmp(event.kind, "resume")) return (tt_outcome){"completed", event.data};
    return (tt_outcome){tt_text(tt_get(event.data, "reason"), "completed"), tt_get(event.data, "result")};
}

tt_step tt_validate(const tt_dialog *dialog, tt_turn *turn, const tt_json *data) {
    const char *name = tt_text(tt_get(data, "validator"), "");
    for (const tt_validator *known = dialog->validators; known && known->name; known++) {
        if (strcmp(known->name, name)) continue;
        tt_step verdict = known->check(turn, tt_get(data, "value"), (int)tt_double(tt_get(data, "attempt"), 1));
        if (!verdict.kind || (strcmp(verdict.kind, "accept") && strcmp(verdict.kind, "reject"))) {
            tt_fail(turn, "invalid", "the validator `%s` returned another step; return tt_accept, tt_accept_as or tt_reject", name);
        }
        return verdict;
    }
    tt_fail(turn, "invalid", "the dialog `%s` has no validator `%s`; add it to its `validators`", dialog->id, name);
    return tt_ignored();
}

tt_step tt_hook_cancelled(const tt_dialog *dialog, tt_turn *turn, const tt_json *data) {
    if (dialog->on_cancelled) dialog->on_cancelled(turn, tt_text(tt_get(data, "reason"), ""));
    return tt_ignored();
}

/* Whether a dialog of this style stored the state, or the event needs no state. */
bool tt_is_own(const tt_json *state, const char *kind, const char *member) {
    static const char *const needing[] = {"continue", "resume", "reprompt", "migrate", "rehearse"};
    if (!state || tt_get(state, member)) return true;
    for (size_t at = 0; at < sizeof needing / sizeof *needing; at++) {
        if (!strcmp(kind, needing[at])) return false;
    }
    return true;
}

/* --- Waterfalls. The state is the same in every SDK. --- */

static tt_json *stored(size_t index, const tt_waterfall *now) {
    tt_json *state = tt_set(tt_object(), "index", tt_int((int64_t)index));
    tt_set(tt_set(state, "options", now->options), "values", now->values);
    return now->asked ? tt_set(state, "asked", now->asked) : state;
}

static tt_step run(const tt_dialog *dialog, size_t index, tt_waterfall now) {
    size_t count = 0;
    while (dialog->stages[count].run) count++;
    for (; index < count; index++) {
        const tt_stage *stage = &dialog->stages[index];
        if (!stage->always && strcmp(now.outcome.reason, "completed")) return tt_cancelled();
        now.asked = NULL;
        tt_step then = stage->run(&now);
        if (!then.kind) {
            tt_fail(now.turn, "invalid", "step %d of the dialog `%s` returned no step", (int)index + 1, dialog->id);
            return tt_ignored();
        }
        if (strcmp(then.kind, "next")) {
            then.state = stored(index, &now);
            return then;
        }
        now.outcome = (tt_outcome){"completed", then.data};
    }
    return tt_done(now.outcome.result);
}

tt_step tt_waterfall_event(const tt_dialog *dialog, tt_turn *turn, tt_event_of_dialog event, const tt_json *state) {
    if (!tt_is_own(state, event.kind, "index")) return step("reject", NULL);
    size_t index = (size_t)tt_double(tt_get(state, "index"), 0);
    tt_json *values = tt_copy(tt_get(state, "values"));
    tt_waterfall now = {turn, tt_get(state, "options"), values ? values : tt_object(), {"completed", NULL}, NULL};
    const char *kind = event.kind;
    if (!strcmp(kind, "begin")) {
        now.options = event.data;
        now.values = tt_object();
        return run(dialog, 0, now);
    }
    if (!strcmp(kind, "continue") || !strcmp(kind, "resume")) {
        now.outcome = tt_outcome_of(event);
        return run(dialog, index + 1, now);
    }
    if (!strcmp(kind, "reprompt")) {
        if (tt_get(state, "asked")) tt_reply_activity(turn, tt_get(state, "asked"));
        return tt_wait();
    }
    if (!strcmp(kind, "validate")) return tt_validate(dialog, turn, event.data);
    if (!strcmp(kind, "cancelled")) return tt_hook_cancelled(dialog, turn, event.data);
    if (!strcmp(kind, "migrate")) {
        int from = (int)tt_double(tt_get(event.data, "from"), 0);
        const tt_json *moved = dialog->migrate ? dialog->migrate(now.values, from, dialog->version) : NULL;
        if (!moved) return step("reject", NULL);
        tt_step accepted = tt_accept();
        accepted.state = tt_set(tt_copy(state), "values", moved);
        return accepted;
    }
    /* If an edit removed the step that waits, the answer ends the dialog. That is not a reset. */
    return strcmp(kind, "rehearse") ? tt_ignored() : tt_accept();
}
