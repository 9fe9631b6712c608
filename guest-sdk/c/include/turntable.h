/* The SDK for plugins of Turntable in C. A plugin is a sandboxed WebAssembly component with the logic of a bot.
 *
 *     #include "turntable.h"
 *
 *     static tt_flow on_message(tt_turn *turn) {
 *         tt_reply(turn, tt_format("Echo: %s", tt_turn_text(turn)));
 *         return TT_HANDLED;
 *     }
 *
 *     tt_bot turntable_bot = { .name = "echo", .on_message = on_message };
 *
 * Memory: everything that a function returns belongs to the turn and is freed at its end. Free nothing and keep nothing. Each
 * turn has an instance of its own, so variables do not outlive it.
 *
 * Errors: a call that the host refuses returns NULL, 0 or false, and the turn remembers the fault. The turn then fails, whatever
 * the handler returns, unless the handler calls `tt_forgive`. The host discards what a failed turn sent.
 */
#ifndef TURNTABLE_H
#define TURNTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- Memory and texts. All texts are UTF-8 and end with a zero byte. --- */

/* Returns zeroed memory of the turn. */
void *tt_alloc(size_t size);
/* Returns a text that is formatted as by printf. */
char *tt_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- JSON. Functions take NULL as an absent value. Numbers keep their digits, objects the order of their members. --- */

typedef struct tt_json tt_json;

/* Returns the value of a JSON text, or NULL if the text is not JSON. */
tt_json *tt_parse(const char *text);
/* Returns the JSON text of a value, without spaces; `null` for NULL. */
char *tt_write(const tt_json *value);
tt_json *tt_null(void);
tt_json *tt_bool(bool value);
tt_json *tt_int(int64_t value);
tt_json *tt_number(double value);
tt_json *tt_string(const char *text);
tt_json *tt_array(void);
tt_json *tt_object(void);
/* Sets a member of an object or appends to an array, and returns the object or array. */
tt_json *tt_set(tt_json *object, const char *name, const tt_json *value);
tt_json *tt_push(tt_json *array, const tt_json *value);
/* Returns a copy whose members may be set without changing the original. */
tt_json *tt_copy(const tt_json *value);
/* Returns a member, or NULL if there is none. */
tt_json *tt_get(const tt_json *object, const char *name);
/* Returns an element, or NULL if there is none. */
tt_json *tt_at(const tt_json *array, size_t index);
/* Returns the number of elements or members. */
size_t tt_length(const tt_json *value);
/* Return the value, or `otherwise` if the value has another type. */
const char *tt_text(const tt_json *value, const char *otherwise);
double tt_double(const tt_json *value, double otherwise);
bool tt_true(const tt_json *value, bool otherwise);
bool tt_is_null(const tt_json *value);

/* --- The turn. --- */

/* What the host knows about the turn. A channel cannot forge `turn_id`, `bot_id` and `trigger`. */
typedef struct tt_meta {
    const char *turn_id, *bot_id, *channel_id, *conversation_id;
    const char *kind;    /* the type of the activity */
    const char *trigger; /* `activity`, `route:NAME`, `dialog:ID`, `notify`, `timer:NAME`, or a later value */
    const char *locale;  /* NULL if the channel sent none */
    uint32_t budget_ms;  /* CPU time that this plugin may still use in this turn */
    tt_json *extra;      /* further facts, an object of texts */
} tt_meta;

/* One activity that is being handled. Sends are staged and leave after the turn has succeeded. */
typedef struct tt_turn {
    tt_meta meta;
    tt_json *activity;
    struct tt_internal *internal;
} tt_turn;

/* What a handler returns. */
typedef enum tt_flow {
    TT_NEXT,    /* the next plugin of the bot gets the activity */
    TT_HANDLED, /* no other plugin runs */
} tt_flow;

/* The text as the channel sent it; an empty text if there is none. */
const char *tt_turn_text(const tt_turn *turn);
/* What the user said: the text without mentions of the bot, quotes, escapes and e-mail signatures. */
const char *tt_spoken_text(const tt_turn *turn);

/* Fails the turn with a code (`invalid`, `denied`, `quota`, `internal`, …) and a message for the author. */
void tt_fail(tt_turn *turn, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The code of the fault of this turn, or NULL. */
const char *tt_failed(const tt_turn *turn);
/* Forgets the fault, so that the turn goes on. */
void tt_forgive(tt_turn *turn);

/* Answer the activity, with a text or with an activity, and return the host id of the answer. */
const char *tt_reply(tt_turn *turn, const char *text);
const char *tt_reply_activity(tt_turn *turn, const tt_json *activity);
/* Add an activity that answers nothing. */
const char *tt_send(tt_turn *turn, const char *text);
const char *tt_send_activity(tt_turn *turn, const tt_json *activity);
/* Replaces or deletes an activity that this bot sent. */
bool tt_update(tt_turn *turn, const char *id, const tt_json *activity);
bool tt_delete(tt_turn *turn, const char *id);
/* Shows a typing indicator, at once. */
bool tt_typing(tt_turn *turn);
/* Delivers what is staged now. If the turn fails later, the flushed part remains. Handlers only. */
bool tt_flush(tt_turn *turn);
/* Sets the response to an invoke: an HTTP status and a body, or NULL. */
bool tt_respond(tt_turn *turn, uint32_t status, const tt_json *body);

/* Activities. */
tt_json *tt_message(const char *text);
tt_json *tt_event(const char *name, const tt_json *value);
/* Adds an attachment to a message, and returns the message. */
tt_json *tt_attach(tt_json *message, const tt_json *attachment);
/* Adds a button under a message that sends its own text, and returns the message. */
tt_json *tt_suggest(tt_json *message, const char *button);
tt_json *tt_adaptive_card(const tt_json *content);
tt_json *tt_hero_card(const tt_json *content);
tt_json *tt_file(const char *content_type, const char *content_url, const char *name);

/* Values that outlive the turn, by scope (`user`, `conversation`, `private`, `bot`) and key. They need the grant `state`: name the
 * scopes in the bot. `tt_set_state` and `tt_remove_state` check the etag of the value that was read: if another turn changed it
 * meanwhile, the host runs this turn again. */
tt_json *tt_state(tt_turn *turn, const char *scope, const char *key);
bool tt_set_state(tt_turn *turn, const char *scope, const char *key, const tt_json *value);
bool tt_overwrite_state(tt_turn *turn, const char *scope, const char *key, const tt_json *value);
bool tt_remove_state(tt_turn *turn, const char *scope, const char *key);

/* A setting of the operator, or NULL; the names of all settings. */
tt_json *tt_config(tt_turn *turn, const char *key);
tt_json *tt_config_keys(tt_turn *turn);
/* Writes a line into the host's log: level, constant text, then names and values of fields, and NULL. */
void tt_log(tt_turn *turn, const char *level, const char *message, ...) __attribute__((sentinel));

/* The dialog stack. It works in handlers only; a dialog returns steps instead. */
const char *tt_begin(tt_turn *turn, const char *dialog, const tt_json *options);
const char *tt_replace(tt_turn *turn, const char *dialog, const tt_json *options);
uint32_t tt_cancel_all(tt_turn *turn);
/* Asks the top dialog to repeat its question. Returns false if no dialog waits. */
bool tt_reprompt(tt_turn *turn);
/* The stack, top first: an array of objects with `id`, `plugin`, `dialog` and `waitsFor`. */
tt_json *tt_stack(tt_turn *turn);

/* Deliveries into this or another conversation. They need the grant `conversations`. Modes: `now`, `when-idle`, `interrupt`,
 * `cancel`. A content is `{"activity": …}`, `{"event": {"name", "value"}}` or `{"dialog": ID, "options": …}`. */
const char *tt_reference(tt_turn *turn);
const char *tt_notify(tt_turn *turn, const char *reference, const char *mode, const tt_json *content);
const char *tt_schedule(tt_turn *turn, const char *name, const char *at, const char *reference, const char *mode,
                        const tt_json *content);
bool tt_cancel(tt_turn *turn, const char *id);
tt_json *tt_deliver_activity(const tt_json *activity);
tt_json *tt_deliver_event(const char *name, const tt_json *value);
tt_json *tt_deliver_dialog(const char *dialog, const tt_json *options);

/* --- Prompts: questions that the host asks and whose answers it recognizes. `wit/prompt.schema.json` lists all options. --- */

/* A prompt is its definition, with a name that identifies it in the journal of a straight-line dialog. */
typedef struct tt_prompt {
    tt_json *definition;
    const char *name;
} tt_prompt;

/* Kinds: `text`, `number`, `confirm`, `choice`, `date-time`, `attachment`. */
tt_prompt tt_ask_for(const char *kind, const char *question);
tt_prompt tt_ask_with(const char *kind, const tt_json *activity);
/* Sets an option, such as `min`, `retry`, `attempts` or `validator`. */
tt_prompt tt_with(tt_prompt prompt, const char *option, const tt_json *value);
tt_prompt tt_named(tt_prompt prompt, const char *name);
/* Adds a choice. */
tt_prompt tt_choice(tt_prompt prompt, const char *value);

/* --- Dialogs. --- */

/* What the host does next for a dialog. `wit/dialogs.wit` lists the kinds and their data. */
typedef struct tt_step {
    const char *kind;
    const tt_json *data, *state;
} tt_step;

/* How the prompt or dialog that a dialog waited for has ended: `completed`, `cancelled` or `failed`. */
typedef struct tt_outcome {
    const char *reason;
    const tt_json *result;
} tt_outcome;

typedef struct tt_event_of_dialog {
    const char *kind, *name;
    const tt_json *data;
} tt_event_of_dialog;

/* The argument of a step of a waterfall. */
typedef struct tt_waterfall {
    tt_turn *turn;
    const tt_json *options; /* what the dialog was begun with */
    tt_json *values;        /* an object: values for later steps */
    tt_outcome outcome;     /* what the step before waited for */
    const tt_json *asked;
} tt_waterfall;

/* One step of a waterfall. A step that is not `always` runs only if the wait of the step before was completed. */
typedef struct tt_stage {
    tt_step (*run)(tt_waterfall *step);
    bool always;
} tt_stage;

/* The argument of the function of a straight-line dialog. */
typedef struct tt_dialogue {
    tt_turn *turn;
    const tt_json *options; /* what the dialog was begun with */
    const tt_json *state;   /* what the dialog was restarted with, or NULL */
    struct tt_play *play;
} tt_dialogue;

typedef struct tt_validator {
    const char *name;
    /* Returns `tt_accept`, `tt_accept_as` or `tt_reject`. */
    tt_step (*check)(tt_turn *turn, const tt_json *value, int attempt);
} tt_validator;

/* A dialog in one of three styles: `stages`, `run` or `on_event`. */
typedef struct tt_dialog {
    const char *id;
    int version;                                  /* of the state; raise it when an edit changes the shape of the state */
    const tt_stage *stages;                       /* a waterfall; the last stage is followed by {0} */
    const tt_json *(*run)(tt_dialogue *dialogue); /* a straight-line dialog; see TT_AWAIT */
    tt_step (*on_event)(tt_turn *turn, tt_event_of_dialog event, const tt_json *state); /* any other style */
    const tt_validator *validators;               /* the last one is followed by {0} */
    void (*on_cancelled)(tt_turn *turn, const char *reason);
    /* Returns the state for this version, or NULL if it cannot be migrated. */
    const tt_json *(*migrate)(const tt_json *state, int from, int to);
} tt_dialog;

/* Steps. */
tt_step tt_wait(void);
tt_step tt_wait_for(const char *activity_type); /* a message, or an activity of this type */
tt_step tt_prompt_step(tt_prompt prompt);
tt_step tt_call_step(const char *dialog, const tt_json *options);
tt_step tt_replace_step(const char *dialog, const tt_json *options);
tt_step tt_done(const tt_json *result);
tt_step tt_cancelled(void);
tt_step tt_flush_step(void);
tt_step tt_ignored(void);
tt_step tt_accept(void);
tt_step tt_accept_as(const tt_json *value);
tt_step tt_reject(const char *question); /* NULL: the retry question of the prompt */
/* In a waterfall: sends a question and waits for a message; runs the next step at once with a result. */
tt_step tt_wait_after(tt_waterfall *step, const char *question);
tt_step tt_next(const tt_json *result);

/* A straight-line dialog is one function, written as if the user answered at once. After each answer the SDK runs it again
 * from the start; operations that a journal holds return what was recorded and send nothing. An operation that has to wait
 * returns NULL, and the function must return NULL at once, which TT_AWAIT does:
 *
 *     static const tt_json *order(tt_dialogue *d) {
 *         TT_AWAIT(const tt_json *what, tt_ask(d, tt_ask_for("text", "What would you like?")));
 *         TT_AWAIT(const tt_json *sure, tt_ask(d, tt_ask_for("confirm", "Sure?")));
 *         return tt_true(sure, false) ? what : tt_give_up(d);
 *     }
 *
 * Use state, settings and everything else outside the dialog only inside `tt_once`. */
#define TT_AWAIT(variable, operation)                                                                                          \
    variable = (operation);                                                                                                    \
    if (tt_must_return(d)) return NULL

/* Whether the function of the dialog must return now. */
bool tt_must_return(const tt_dialogue *d);
/* Ask, or run another dialog. If there is no answer or result, the dialog ends as cancelled. */
const tt_json *tt_ask(tt_dialogue *d, tt_prompt prompt);
const tt_json *tt_call(tt_dialogue *d, const char *dialog, const tt_json *options);
/* The same, but NULL if there is no answer or result. */
const tt_json *tt_try_ask(tt_dialogue *d, tt_prompt prompt);
const tt_json *tt_try_call(tt_dialogue *d, const char *dialog, const tt_json *options);
/* Sends a question and returns the next message, whatever it contains. */
const tt_json *tt_hear(tt_dialogue *d, const char *question);
/* Delivers what was sent so far. */
const tt_json *tt_flush_dialog(tt_dialogue *d);
/* Sends a text or an activity. */
const tt_json *tt_say(tt_dialogue *d, const char *text);
const tt_json *tt_say_activity(tt_dialogue *d, const tt_json *activity);
/* Runs a function once and records its result. The key stays the same if the function runs again. */
const tt_json *tt_once(tt_dialogue *d, const char *name,
                       const tt_json *(*run)(tt_turn *turn, const char *idempotency_key, void *data), void *data);
/* The time in milliseconds since 1970, and a number up to 4294967295; the same in each replay. */
double tt_now(tt_dialogue *d);
double tt_random(tt_dialogue *d);
/* End the run: `return tt_give_up(d);` ends the dialog without a result, `tt_hand_over` begins another in its place, and
 * `tt_restart_with` runs the function again with a state and an empty journal. */
const tt_json *tt_give_up(tt_dialogue *d);
const tt_json *tt_hand_over(tt_dialogue *d, const char *dialog, const tt_json *options);
const tt_json *tt_restart_with(tt_dialogue *d, const tt_json *state);

/* --- The bot. --- */

/* A global handler: a pattern that must match the whole text of a message (syntax of the Rust crate `regex`). */
typedef struct tt_route {
    const char *name, *pattern;
    double score;        /* 0: the default, 0.5 */
    int order;
    const char *confirm; /* a question that the host asks before the route interrupts a dialog */
    const char *after;   /* `reprompt` (the default) or `none`: what happens to the interrupted dialog */
} tt_route;

/* What a hook of middleware decides. */
typedef struct tt_passage {
    const char *kind;
    const tt_json *activity;
} tt_passage;

#define TT_PASS ((tt_passage){0})
#define TT_STOP ((tt_passage){"stop", 0})
#define TT_REPLACE(it) ((tt_passage){"replace", (it)})

/* The bot: what it declares, its dialogs, and a handler for each kind of activity that it handles. An activity without a handler
 * goes to the next plugin. Lists end with {0} or NULL. */
typedef struct tt_bot {
    const char *name, *version, *description;
    const char *const *activities; /* types that reach the handlers; NULL: all */
    const tt_route *routes;
    const char *const *state;      /* scopes of state that the bot uses */
    bool conversations;            /* whether it uses tt_notify and tt_schedule */
    bool uses_dialogs;             /* whether it uses the stack; a bot with dialogs always does */
    const char *settings;          /* a JSON schema of the settings, as text */
    const tt_dialog *const *dialogs;

    tt_flow (*on_turn)(tt_turn *turn); /* every activity; call tt_dispatch for the handlers below */
    tt_flow (*on_route)(tt_turn *turn, const char *name); /* NULL: on_message gets the message */
    tt_flow (*on_message)(tt_turn *turn);
    tt_flow (*on_message_update)(tt_turn *turn);
    tt_flow (*on_message_delete)(tt_turn *turn);
    tt_flow (*on_conversation_update)(tt_turn *turn); /* TT_NEXT goes on with the two below */
    tt_flow (*on_members_added)(tt_turn *turn, const tt_json *members); /* never the bot itself */
    tt_flow (*on_members_removed)(tt_turn *turn, const tt_json *members);
    tt_flow (*on_message_reaction)(tt_turn *turn); /* TT_NEXT goes on with the two below */
    tt_flow (*on_reactions_added)(tt_turn *turn, const tt_json *reactions);
    tt_flow (*on_reactions_removed)(tt_turn *turn, const tt_json *reactions);
    tt_flow (*on_event)(tt_turn *turn); /* TT_NEXT goes on with on_token_response */
    tt_flow (*on_token_response)(tt_turn *turn, const tt_json *token);
    tt_flow (*on_invoke)(tt_turn *turn); /* call tt_respond; TT_NEXT goes on with the four below */
    tt_flow (*on_adaptive_card_action)(tt_turn *turn, const tt_json *action);
    tt_flow (*on_search)(tt_turn *turn, const tt_json *search);
    tt_flow (*on_sign_in_verify)(tt_turn *turn, const char *state);
    tt_flow (*on_sign_in_exchange)(tt_turn *turn, const tt_json *exchange);
    tt_flow (*on_end_of_conversation)(tt_turn *turn);
    tt_flow (*on_typing)(tt_turn *turn);
    tt_flow (*on_installation_update)(tt_turn *turn); /* TT_NEXT goes on with the two below */
    tt_flow (*on_installation_added)(tt_turn *turn);
    tt_flow (*on_installation_removed)(tt_turn *turn);
    tt_flow (*on_command)(tt_turn *turn);
    tt_flow (*on_command_result)(tt_turn *turn);
    tt_flow (*on_unrecognized)(tt_turn *turn); /* a type that this version of the SDK does not know */

    /* Middleware. `tt_sender` is the plugin that sends the activity: empty for an incoming one, `turntable` for the host. */
    tt_passage (*on_receive)(tt_turn *turn);
    tt_passage (*on_send)(tt_turn *turn, const tt_json *activity);
    tt_passage (*on_update)(tt_turn *turn, const tt_json *activity);
    tt_passage (*on_delete)(tt_turn *turn, const char *id);
    void (*after_turn)(tt_turn *turn, const char *outcome);
} tt_bot;

const char *tt_sender(const tt_turn *turn);
/* Calls the handlers of the turn's activity. */
tt_flow tt_dispatch(tt_turn *turn);

/* Every plugin defines its bot. */
extern tt_bot turntable_bot;

#endif
