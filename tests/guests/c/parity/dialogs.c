/* The dialogs of the parity bot. */
#include "dialogs.h"

#include <string.h>

static tt_prompt integer(const char *question) {
    return tt_with(tt_with(tt_ask_for("number", question), "integer", tt_bool(true)), "min", tt_int(1));
}

/* --- A waterfall. --- */

static tt_step what(tt_waterfall *step) {
    (void)step;
    return tt_prompt_step(tt_ask_for("text", "What?"));
}

static tt_step how_many(tt_waterfall *step) {
    tt_set(step->values, "what", step->outcome.result);
    tt_prompt prompt = tt_with(integer("How many?"), "retry", tt_string("A number from 1."));
    return tt_prompt_step(tt_with(prompt, "validator", tt_string("even")));
}

static tt_step ordered(tt_waterfall *step) {
    const char *what = tt_text(tt_get(step->values, "what"), ""), *by = tt_write(tt_get(step->options, "by"));
    tt_reply(step->turn, tt_format("%s %s by %s", tt_write(step->outcome.result), what, by));
    return tt_done(step->outcome.result);
}

static tt_step even(tt_turn *turn, const tt_json *value, int attempt) {
    (void)turn;
    int number = (int)tt_double(value, 0);
    if (number == 11) return tt_accept_as(tt_int(12));
    return number % 2 ? tt_reject(tt_format("%d is odd (%d)", number, attempt)) : tt_accept();
}

static void no_order(tt_turn *turn, const char *reason) { tt_reply(turn, tt_format("no order: %s", reason)); }

static const tt_dialog order = {
    .id = "order",
    .stages = (const tt_stage[]){{what, false}, {how_many, false}, {ordered, false}, {0}},
    .validators = (const tt_validator[]){{"even", even}, {0}},
    .on_cancelled = no_order,
};

/* --- Straight lines. --- */

static tt_step city(tt_turn *turn, const tt_json *value, int attempt) {
    (void)turn, (void)attempt;
    return strcmp(tt_text(value, ""), "Nowhere") ? tt_accept() : tt_reject("Where is that?");
}

static const tt_json *run_trip(tt_dialogue *d) {
    tt_say(d, "Welcome.");
    tt_prompt where = tt_with(tt_ask_for("text", "Where to?"), "validator", tt_string("city"));
    TT_AWAIT(const tt_json *to, tt_ask(d, tt_named(where, "to")));
    TT_AWAIT(const tt_json *seats, tt_try_call(d, "seats", NULL));
    TT_AWAIT(const tt_json *code, tt_hear(d, "What is your code?"));
    TT_AWAIT(const tt_json *flushed, tt_flush_dialog(d));
    (void)flushed;
    const char *taken = seats ? tt_format("Some(%s)", tt_write(seats)) : "None";
    tt_say(d, tt_format("%s to %s, %s", taken, tt_text(to, ""), tt_text(tt_get(code, "text"), "")));
    TT_AWAIT(const tt_json *sure, tt_ask(d, tt_ask_for("confirm", "Sure?")));
    return tt_true(sure, false) ? to : tt_give_up(d);
}

static const tt_dialog trip = {
    .id = "trip", .run = run_trip, .validators = (const tt_validator[]){{"city", city}, {0}}};

static const tt_json *run_seats(tt_dialogue *d) {
    return tt_ask(d, tt_with(integer("How many seats?"), "attempts", tt_int(2)));
}

static const tt_dialog seats = {.id = "seats", .run = run_seats};

/* --- Small ones. --- */

static tt_step ask_aside(tt_waterfall *step) { return tt_wait_after(step, "aside?"); }
static tt_step call_aside(tt_waterfall *step) { return (void)step, tt_call_step("aside", NULL); }
static tt_step call_fails(tt_waterfall *step) { return (void)step, tt_call_step("fails", NULL); }
static tt_step to_aside(tt_waterfall *step) { return (void)step, tt_replace_step("aside", NULL); }
static tt_step say_something(tt_waterfall *step) { return tt_wait_after(step, "say something"); }
static tt_step second(tt_waterfall *step) { return tt_wait_after(step, "second"); }
static tt_step to_endless(tt_waterfall *step) { return (void)step, tt_replace_step("endless", NULL); }
static tt_step call_recursive(tt_waterfall *step) { return (void)step, tt_call_step("recursive", NULL); }

static tt_step child_said(tt_waterfall *step) {
    tt_reply(step->turn, tt_format("child %s", step->outcome.reason));
    return tt_done(NULL);
}

static tt_step after_child(tt_waterfall *step) {
    return tt_wait_after(step, tt_format("child %s", step->outcome.reason));
}

static tt_step fail(tt_waterfall *step) {
    tt_fail(step->turn, "internal", "broken");
    return tt_done(NULL);
}

static tt_step first(tt_waterfall *step) {
    tt_reply(step->turn, "first");
    return tt_flush_step();
}

#define STAGES(...) .stages = (const tt_stage[]){__VA_ARGS__, {0}}
static const tt_dialog aside = {.id = "aside", STAGES({ask_aside, false})};
static const tt_dialog parent = {.id = "parent", STAGES({call_aside, false}, {child_said, true})};
static const tt_dialog guards = {.id = "guards", STAGES({call_fails, false}, {after_child, true})};
static const tt_dialog hands_over = {.id = "hands-over", STAGES({to_aside, false})};
static const tt_dialog fails = {.id = "fails", STAGES({say_something, false}, {fail, false})};
static const tt_dialog flushes = {.id = "flushes", STAGES({first, false}, {second, false})};
static const tt_dialog endless = {.id = "endless", STAGES({to_endless, false})};
static const tt_dialog recursive = {.id = "recursive", STAGES({call_recursive, false})};

/* Waits for events too. */
static tt_step listen(tt_turn *turn, tt_event_of_dialog event, const tt_json *state) {
    (void)state;
    if (!strcmp(event.kind, "begin") || !strcmp(event.kind, "reprompt")) return tt_wait_for("event");
    if (strcmp(event.kind, "continue")) return tt_ignored();
    tt_reply(turn, tt_format("listens to %s", tt_text(tt_get(turn->activity, "type"), "")));
    return tt_done(NULL);
}

/* Takes no message. */
static tt_step ignore(tt_turn *turn, tt_event_of_dialog event, const tt_json *state) {
    (void)turn, (void)state;
    return strcmp(event.kind, "begin") ? tt_ignored() : tt_wait();
}

static const tt_dialog listens = {.id = "listens", .on_event = listen};
static const tt_dialog ignores = {.id = "ignores", .on_event = ignore};

/* --- Dialogs that ask one question and say what the host made of the answer. --- */

static tt_step said(tt_waterfall *step) {
    tt_reply(step->turn, tt_format("%s %s", step->outcome.reason, tt_write(step->outcome.result)));
    return tt_done(NULL);
}

static tt_prompt text_prompt(void) {
    tt_prompt prompt = tt_with(tt_ask_for("text", "Code?"), "pattern", tt_string("[A-Z]{2}"));
    return tt_with(tt_with(prompt, "retry", tt_string("Two letters.")), "attempts", tt_int(3));
}

static tt_prompt name_prompt(void) {
    return tt_with(tt_with(tt_ask_for("text", "Name?"), "min-length", tt_int(2)), "max-length", tt_int(5));
}

static tt_prompt number_prompt(void) {
    tt_prompt prompt = tt_with(tt_ask_for("number", "How much?"), "min", tt_number(0.5));
    return tt_with(tt_with(prompt, "max", tt_int(9)), "attempts", tt_int(2));
}

static tt_prompt confirm_prompt(void) { return tt_ask_for("confirm", "Sure?"); }

static tt_prompt colour_prompt(void) {
    tt_json *green = tt_set(tt_object(), "value", tt_string("dark green"));
    tt_set(green, "synonyms", tt_push(tt_array(), tt_string("grass")));
    tt_json *choices = tt_push(tt_push(tt_push(tt_array(), tt_string("red")), green), tt_string("blue"));
    return tt_with(tt_ask_for("choice", "Which?"), "choices", choices);
}

static tt_prompt when_prompt(void) { return tt_with(tt_ask_for("date-time", "When?"), "earliest", tt_string("today")); }

static tt_prompt day_prompt(void) {
    return tt_with(tt_ask_for("date-time", "Which day?"), "types", tt_push(tt_array(), tt_string("date")));
}

static tt_prompt picture_prompt(void) {
    tt_json *types = tt_push(tt_array(), tt_string("image/*"));
    return tt_with(tt_with(tt_ask_for("attachment", "A picture?"), "content-types", types), "max-count", tt_int(1));
}

static tt_prompt no_prompt(void) { return tt_with(tt_ask_for("choice", "which?"), "choices", tt_array()); }

#define ASKS(dialog, name, make)                                                                                               \
    static tt_step dialog##_step(tt_waterfall *step) { return (void)step, tt_prompt_step(make()); }                            \
    static const tt_dialog dialog = {.id = name, STAGES({dialog##_step, false}, {said, true})};
ASKS(asks_text, "text", text_prompt)
ASKS(asks_name, "name", name_prompt)
ASKS(asks_number, "number", number_prompt)
ASKS(asks_confirm, "confirm", confirm_prompt)
ASKS(asks_colour, "colour", colour_prompt)
ASKS(asks_when, "when", when_prompt)
ASKS(asks_day, "day", day_prompt)
ASKS(asks_picture, "picture", picture_prompt)
ASKS(asks_nothing, "no-choices", no_prompt)

/* --- Dialogs whose state has another shape in release 2, and which release 3 has no more. --- */

static tt_step which_city(tt_waterfall *step) { return (void)step, tt_prompt_step(tt_ask_for("text", "Which city?")); }

static tt_step keep_city(tt_waterfall *step) {
    tt_set(step->values, "city", step->outcome.result);
    return tt_wait_after(step, "Anything else?");
}

static tt_step say_town(tt_waterfall *step) {
    tt_reply(step->turn, tt_text(tt_get(step->values, parity_release() == 1 ? "city" : "town"), ""));
    return tt_done(NULL);
}

static const tt_json *moved(const tt_json *state, int from, int to) {
    const char *town = tt_format("%s (%d to %d)", tt_text(tt_get(state, "city"), ""), from, to);
    return tt_set(tt_object(), "town", tt_string(town));
}

static const tt_json *gives_up(const tt_json *state, int from, int to) { return (void)state, (void)from, (void)to, NULL; }

static const tt_json *run_edited(tt_dialogue *d) {
    TT_AWAIT(const tt_json *name, tt_ask(d, tt_named(tt_ask_for("text", "Who?"), "name")));
    TT_AWAIT(const tt_json *where, tt_ask(d, tt_ask_for("text", parity_release() == 1 ? "Where?" : "Where to?")));
    (void)where;
    return tt_say(d, tt_format("%s goes.", tt_text(name, "")));
}

#define VERSIONED STAGES({which_city, false}, {keep_city, false}, {say_town, false})
static tt_dialog migrates = {.id = "migrates", VERSIONED, .migrate = moved};
static tt_dialog surrenders = {.id = "gives-up", VERSIONED, .migrate = gives_up};
static tt_dialog hookless = {.id = "no-hook", VERSIONED};
static const tt_dialog edited = {.id = "edited", .run = run_edited};

#define ALWAYS_THERE                                                                                                           \
    &order, &trip, &seats, &aside, &parent, &guards, &hands_over, &fails, &flushes, &endless, &recursive, &listens, &ignores,  \
        &asks_text, &asks_name, &asks_number, &asks_confirm, &asks_colour, &asks_when, &asks_day, &asks_picture, &asks_nothing

const tt_dialog *const *parity_dialogs(int release) {
    static const tt_dialog *const with_versions[] = {ALWAYS_THERE, &migrates, &surrenders, &hookless, &edited, NULL};
    static const tt_dialog *const without[] = {ALWAYS_THERE, NULL};
    migrates.version = surrenders.version = hookless.version = release;
    return release == 3 ? without : with_versions;
}
