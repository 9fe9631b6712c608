/* Straight-line dialogs: one function that is replayed from a journal, whose JSON is the same in every SDK. */
#include <string.h>

#include "internal.h"

enum { ENTRIES_MAX = 1000, BYTES_MAX = 128 << 10, RESTARTS_MAX = 100 };

/* One run of the function. */
struct tt_play {
    tt_json *entries;
    size_t at; /* the position of the next operation */
    int restarts;
    /* In a rehearsal: the operation that the function must reach after the last entry. */
    const tt_json *awaited;
    /* Why the function must return. */
    enum { RUNS, WAITS, ENDS, RESTARTS, EDITED, ARRIVED, FAILED } why;
    const tt_json *waits, *state;
    tt_step step;
};

bool tt_must_return(const tt_dialogue *d) { return d->play->why != RUNS; }

static const tt_json *stop(tt_dialogue *d, int why) {
    if (d->play->why == RUNS) d->play->why = why;
    return NULL;
}

/* Returns the entry of an operation. NULL: it has none, or the function must return. */
static const tt_json *recall(tt_dialogue *d, const char *kind, const char *key) {
    struct tt_play *play = d->play;
    const tt_json *entry = tt_at(play->entries, play->at);
    const tt_json *expected = entry ? entry : play->awaited;
    if (play->why != RUNS || !expected) return NULL;
    bool is_same = !strcmp(tt_text(tt_get(expected, "kind"), ""), kind) && !strcmp(tt_text(tt_get(expected, "key"), ""), key);
    if (!is_same) return stop(d, EDITED);
    if (!entry) return stop(d, ARRIVED);
    play->at++;
    return entry;
}

static tt_json *operation(const char *kind, const char *key) {
    return tt_set(tt_set(tt_object(), "kind", tt_string(kind)), "key", tt_string(key));
}

/* Returns the recorded result of an operation, or NULL: it ended without one, or the dialog waits for it. */
static const tt_json *await(tt_dialogue *d, const char *kind, const char *key, tt_step step, const tt_json *asked) {
    const tt_json *entry = recall(d, kind, key);
    if (entry) {
        tt_json *result = tt_get(entry, "result");
        return tt_get(entry, "ended") ? NULL : result ? result : tt_null();
    }
    if (d->play->why != RUNS) return NULL;
    tt_json *waits = operation(kind, key);
    d->play->waits = asked ? tt_set(waits, "asked", asked) : waits;
    d->play->step = step;
    return stop(d, WAITS);
}

/* Records the result of an operation that does not wait, or fails the turn if the journal is full. */
static const tt_json *record(tt_dialogue *d, const char *kind, const char *key, const tt_json *result) {
    if (tt_failed(d->turn)) return stop(d, FAILED);
    if (tt_length(d->play->entries) >= ENTRIES_MAX) {
        tt_fail(d->turn, "quota", "the journal of the dialog has %d entries, which is the limit; use tt_restart_with", ENTRIES_MAX);
        return stop(d, FAILED);
    }
    tt_push(d->play->entries, tt_set(operation(kind, key), "result", result));
    d->play->at++;
    return result ? result : tt_null();
}

static const char *unique(const tt_dialogue *d) {
    const char *frame = tt_text(tt_get(d->turn->meta.extra, "frame"), "");
    return tt_format("%s-%d-%d", frame, d->play->restarts, (int)d->play->at);
}

/* Whether an operation runs now. If not, `entry` is what was recorded. */
static bool is_fresh(tt_dialogue *d, const char *kind, const char *key, const tt_json **result) {
    const tt_json *entry = recall(d, kind, key), *recorded = tt_get(entry, "result");
    *result = entry ? recorded ? recorded : tt_null() : NULL;
    return !entry && d->play->why == RUNS;
}

const tt_json *tt_try_ask(tt_dialogue *d, tt_prompt prompt) {
    const char *kind = tt_text(tt_get(prompt.definition, "kind"), "");
    const char *key = prompt.name ? tt_format("%s:%s", kind, prompt.name)
                                  : tt_format("%s#%s", kind, tt_hashed(tt_write(tt_get(prompt.definition, "prompt"))));
    return await(d, "ask", key, tt_prompt_step(prompt), NULL);
}

const tt_json *tt_try_call(tt_dialogue *d, const char *dialog, const tt_json *options) {
    return await(d, "call", dialog, tt_call_step(dialog, options), NULL);
}

static const tt_json *or_give_up(tt_dialogue *d, const tt_json *result) { return result ? result : tt_give_up(d); }

const tt_json *tt_ask(tt_dialogue *d, tt_prompt prompt) { return or_give_up(d, tt_try_ask(d, prompt)); }

const tt_json *tt_call(tt_dialogue *d, const char *dialog, const tt_json *options) {
    return or_give_up(d, tt_try_call(d, dialog, options));
}

const tt_json *tt_hear(tt_dialogue *d, const char *question) {
    const tt_json *asked = tt_message(question);
    bool is_fresh = d->play->why == RUNS && !d->play->awaited && d->play->at >= tt_length(d->play->entries);
    if (is_fresh) tt_reply_activity(d->turn, asked);
    return or_give_up(d, await(d, "hear", tt_hashed(tt_write(asked)), tt_wait(), asked));
}

const tt_json *tt_flush_dialog(tt_dialogue *d) { return await(d, "flush", "", tt_flush_step(), NULL); }

const tt_json *tt_say_activity(tt_dialogue *d, const tt_json *activity) {
    const char *key = tt_hashed(tt_write(activity));
    const tt_json *result;
    if (!is_fresh(d, "send", key, &result)) return result;
    const char *id = tt_reply_activity(d->turn, activity);
    return record(d, "send", key, tt_string(id));
}

const tt_json *tt_say(tt_dialogue *d, const char *text) { return tt_say_activity(d, tt_message(text)); }

const tt_json *tt_once(tt_dialogue *d, const char *name,
                       const tt_json *(*run)(tt_turn *turn, const char *idempotency_key, void *data), void *data) {
    const tt_json *result;
    return is_fresh(d, "step", name, &result) ? record(d, "step", name, run(d->turn, unique(d), data)) : result;
}

double tt_now(tt_dialogue *d) {
    const tt_json *result;
    if (is_fresh(d, "now", "", &result)) result = record(d, "now", "", tt_number(tt_host_now()));
    return tt_double(result, 0);
}

double tt_random(tt_dialogue *d) {
    const tt_json *result;
    if (is_fresh(d, "random", "", &result)) {
        uint64_t bits = tt_fnv(unique(d)) + 0x9e3779b97f4a7c15u; /* the finaliser of SplitMix64 */
        bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
        bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
        result = record(d, "random", "", tt_number((double)((bits ^ bits >> 31) >> 32)));
    }
    return tt_double(result, 0);
}

static const tt_json *end(tt_dialogue *d, tt_step step) {
    if (d->play->why == RUNS) d->play->step = step;
    return stop(d, ENDS);
}

const tt_json *tt_give_up(tt_dialogue *d) { return end(d, tt_cancelled()); }

const tt_json *tt_hand_over(tt_dialogue *d, const char *dialog, const tt_json *options) {
    return end(d, tt_replace_step(dialog, options));
}

const tt_json *tt_restart_with(tt_dialogue *d, const tt_json *state) {
    if (d->play->why == RUNS) d->play->state = state ? state : tt_null();
    return stop(d, RESTARTS);
}

/* --- The runner. A journal is the JSON that the host stores. --- */

static tt_json *restarted(const tt_json *journal, const tt_json *state) {
    tt_json *fresh = tt_set(tt_object(), "options", tt_get(journal, "options"));
    int64_t restarts = (int64_t)tt_double(tt_get(journal, "restarts"), 0);
    return tt_set(tt_set(tt_set(fresh, "state", state), "restarts", tt_int(restarts + 1)), "entries", tt_array());
}

static tt_step with_state(tt_step step, const tt_json *journal, tt_turn *turn) {
    size_t size = strlen(tt_write(journal));
    if (size > BYTES_MAX) {
        tt_fail(turn, "quota", "the journal of the dialog has %d bytes, the limit is %d; use tt_restart_with", (int)size, BYTES_MAX);
    }
    step.state = journal;
    return step;
}

/* What a migration gets: the last result of each name, and the state of the last restart. */
static const tt_json *migrated(const tt_dialog *dialog, const tt_json *journal, int from) {
    tt_json *names = tt_object();
    const tt_json *entries = tt_get(journal, "entries");
    for (size_t at = 0; at < tt_length(entries); at++) {
        const tt_json *entry = tt_at(entries, at);
        const char *kind = tt_text(tt_get(entry, "kind"), ""), *key = tt_text(tt_get(entry, "key"), "");
        const char *name = strchr(key, ':');
        if (tt_get(entry, "ended")) continue;
        if (!strcmp(kind, "ask") && name) tt_set(names, name + 1, tt_get(entry, "result"));
        if (!strcmp(kind, "call") || !strcmp(kind, "step")) tt_set(names, key, tt_get(entry, "result"));
    }
    if (tt_get(journal, "state")) tt_set(names, "state", tt_get(journal, "state"));
    return dialog->migrate ? dialog->migrate(names, from, dialog->version) : NULL;
}

static struct tt_play played(const tt_dialog *dialog, tt_turn *turn, const tt_json *journal, const tt_json *awaited,
                             const tt_json **result) {
    tt_json *entries = tt_copy(tt_get(journal, "entries"));
    struct tt_play play = {.entries = entries ? entries : tt_array(), .awaited = awaited};
    play.restarts = (int)tt_double(tt_get(journal, "restarts"), 0);
    tt_dialogue d = {turn, tt_get(journal, "options"), tt_get(journal, "state"), &play};
    *result = dialog->run(&d);
    return play;
}

static tt_step play(const tt_dialog *dialog, tt_turn *turn, const tt_json *journal) {
    for (int count = 0; count <= RESTARTS_MAX; count++) {
        const tt_json *result;
        struct tt_play run = played(dialog, turn, journal, NULL, &result);
        if (tt_failed(turn)) return tt_ignored();
        bool is_unread = run.why == RUNS && run.at < tt_length(run.entries);
        if (run.why == EDITED || is_unread) {
            const char *ordinal = tt_format("%d", (int)run.at);
            tt_log(turn, "warn", "the dialog was edited: it differs from its journal", "dialog", dialog->id, "ordinal", ordinal, NULL);
            const tt_json *state = migrated(dialog, journal, dialog->version);
            if (!state) return (tt_step){"reject", NULL, NULL};
            journal = restarted(journal, state);
        } else if (run.why == RESTARTS) {
            journal = restarted(journal, run.state);
        } else if (run.why == WAITS) {
            tt_json *kept = tt_set(tt_set(tt_copy(journal), "entries", run.entries), "waits", run.waits);
            return with_state(run.step, kept, turn);
        } else {
            return run.why == ENDS ? run.step : tt_done(result);
        }
    }
    tt_fail(turn, "quota", "the dialog `%s` restarted %d times without waiting for anything", dialog->id, RESTARTS_MAX);
    return tt_ignored();
}

/* Returns the journal with the outcome of the operation that the dialog waited for. */
static tt_json *answered(const tt_json *journal, tt_outcome outcome) {
    const tt_json *waits = tt_get(journal, "waits"), *recorded = tt_get(journal, "entries");
    tt_json *entries = recorded ? tt_copy(recorded) : tt_array();
    if (waits) {
        tt_json *entry = operation(tt_text(tt_get(waits, "kind"), ""), tt_text(tt_get(waits, "key"), ""));
        tt_set(entry, "result", outcome.result);
        if (strcmp(outcome.reason, "completed")) tt_set(entry, "ended", tt_string(outcome.reason));
        tt_push(entries, entry);
    }
    tt_json *next = tt_object();
    for (size_t at = 0; at < tt_length(journal); at++) {
        const char *name = tt_name_at(journal, at);
        if (strcmp(name, "waits")) tt_set(next, name, strcmp(name, "entries") ? tt_at(journal, at) : entries);
    }
    return next;
}

static tt_step rehearse(const tt_dialog *dialog, tt_turn *turn, const tt_json *journal) {
    const tt_json *result, *waits = tt_get(journal, "waits");
    if (!waits) return tt_ignored();
    if (played(dialog, turn, journal, waits, &result).why == ARRIVED) return tt_accept();
    const tt_json *state = migrated(dialog, journal, dialog->version);
    return state ? with_state(tt_accept(), restarted(journal, state), turn) : (tt_step){"reject", NULL, NULL};
}

static tt_step migrate(const tt_dialog *dialog, tt_turn *turn, const tt_json *journal, const tt_json *data) {
    if (!dialog->migrate) return with_state(tt_accept(), journal, turn);
    /* The pending answer belongs to the old run, so the new run does not get it. */
    const tt_json *state = migrated(dialog, journal, (int)tt_double(tt_get(data, "from"), 0));
    return state ? with_state(tt_accept(), restarted(journal, state), turn) : (tt_step){"reject", NULL, NULL};
}

tt_step tt_straight_event(const tt_dialog *dialog, tt_turn *turn, tt_event_of_dialog event, const tt_json *state) {
    const char *kind = event.kind;
    if (!tt_is_own(state, kind, "entries")) return (tt_step){"reject", NULL, NULL};
    if (!strcmp(kind, "begin")) {
        tt_json *journal = tt_set(tt_set(tt_object(), "options", event.data), "restarts", tt_int(0));
        return play(dialog, turn, tt_set(journal, "entries", tt_array()));
    }
    if (!strcmp(kind, "continue") || !strcmp(kind, "resume")) return play(dialog, turn, answered(state, tt_outcome_of(event)));
    if (!strcmp(kind, "reprompt")) {
        const tt_json *asked = tt_get(tt_get(state, "waits"), "asked");
        if (asked) tt_reply_activity(turn, asked);
        return tt_wait();
    }
    if (!strcmp(kind, "validate")) return tt_validate(dialog, turn, event.data);
    if (!strcmp(kind, "cancelled")) return tt_hook_cancelled(dialog, turn, event.data);
    if (!strcmp(kind, "migrate")) return migrate(dialog, turn, state, event.data);
    return strcmp(kind, "rehearse") ? tt_ignored() : rehearse(dialog, turn, state);
}
