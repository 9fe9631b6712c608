/* The counterpart of plugins/travel: it books a trip. tests/spec/travel.rs holds the same conversations with both. */
#include <string.h>
#include <strings.h>

#include "turntable.h"

enum { TRAVELLERS_MAX = 4, ATTEMPTS = 5 /* wrong answers to one question after which the booking ends */ };

/* --- Trips: objects with `to`, `day` and `travellers`. --- */

/* Joins a member of each traveller. */
static const char *joined(const tt_json *trip, const char *member) {
    const tt_json *travellers = tt_get(trip, "travellers");
    const char *text = "";
    for (size_t at = 0; at < tt_length(travellers); at++) {
        text = tt_format("%s%s%s", text, at ? ", " : "", tt_text(tt_get(tt_at(travellers, at), member), ""));
    }
    return text;
}

static const char *line(const tt_json *trip) {
    const char *to = tt_text(tt_get(trip, "to"), ""), *day = tt_text(tt_get(trip, "day"), "");
    return tt_format("%s on %s, for %s", to, day, joined(trip, "name"));
}

static tt_json *card(const tt_json *trip) {
    const char *to = tt_text(tt_get(trip, "to"), ""), *day = tt_text(tt_get(trip, "day"), "");
    const char *text = tt_format("For %s. Passports: %s.", joined(trip, "name"), joined(trip, "passport"));
    tt_json *content = tt_set(tt_object(), "title", tt_string(tt_format("Your trip to %s", to)));
    tt_set(tt_set(content, "subtitle", tt_string(tt_format("On %s", day))), "text", tt_string(text));
    tt_json *message = tt_attach(tt_set(tt_object(), "type", tt_string("message")), tt_hero_card(content));
    return tt_set(message, "summary", tt_string(line(trip)));
}

/* --- The dialog `book`. --- */

static tt_prompt question(const char *kind, const char *text, const char *name, const char *retry) {
    tt_prompt prompt = tt_with(tt_named(tt_ask_for(kind, text), name), "attempts", tt_int(ATTEMPTS));
    return retry ? tt_with(prompt, "retry", tt_string(retry)) : prompt;
}

static const tt_json *destinations(tt_turn *turn, const char *idempotency_key, void *data) {
    (void)idempotency_key, (void)data;
    const tt_json *places = tt_config(turn, "destinations");
    return places ? places : tt_parse("[\"Lisbon\", \"Oslo\", \"Rome\"]");
}

static const tt_json *keep_trip(tt_turn *turn, const char *idempotency_key, void *trip) {
    (void)idempotency_key;
    tt_json *trips = tt_state(turn, "user", "trips");
    trips = trips ? trips : tt_array();
    tt_set_state(turn, "user", "trips", tt_push(trips, trip));
    return NULL;
}

static const tt_json *misunderstood(tt_dialogue *d) {
    tt_say(d, "I did not understand that, so no trip was booked. Say «book» to begin again.");
    return tt_give_up(d);
}

static tt_prompt day_question(const tt_json *to) {
    const char *text = tt_format("When do you want to go to %s?", tt_text(to, ""));
    tt_prompt day = question("date-time", text, "day", "Which day from now on? «2026-12-24» and «tomorrow» both work.");
    day = tt_with(tt_with(day, "types", tt_push(tt_array(), tt_string("date"))), "earliest", tt_string("today"));
    return tt_with(day, "validator", tt_string("not-in-winter"));
}

static tt_prompt count_question(void) {
    const char *retry = tt_format("A whole number from 1 to %d, please.", TRAVELLERS_MAX);
    tt_prompt count = question("number", "How many of you are there?", "count", retry);
    count = tt_with(tt_with(count, "integer", tt_bool(true)), "min", tt_int(1));
    return tt_with(count, "max", tt_int(TRAVELLERS_MAX));
}

static const tt_json *run_book(tt_dialogue *d) {
    TT_AWAIT(const tt_json *places, tt_once(d, "destinations", destinations, NULL));
    tt_prompt where = tt_with(question("choice", "Where to?", "to", "I do not go there. Where to?"), "choices", places);
    TT_AWAIT(const tt_json *to, tt_try_ask(d, where));
    if (!to) return misunderstood(d);
    TT_AWAIT(const tt_json *day, tt_try_ask(d, day_question(tt_get(to, "value"))));
    if (!day) return misunderstood(d);
    TT_AWAIT(const tt_json *count, tt_try_ask(d, count_question()));
    if (!count) return misunderstood(d);
    tt_json *travellers = tt_array();
    for (int number = 1; number <= (int)tt_double(count, 0); number++) {
        tt_json *options = tt_set(tt_set(tt_object(), "number", tt_int(number)), "of", count);
        TT_AWAIT(const tt_json *traveller, tt_try_call(d, "traveller", options));
        if (!traveller) return misunderstood(d);
        tt_push(travellers, traveller);
    }
    tt_json *trip = tt_set(tt_set(tt_object(), "to", tt_get(to, "value")), "day", tt_get(day, "value"));
    tt_set(trip, "travellers", travellers);
    tt_say_activity(d, card(trip));
    TT_AWAIT(const tt_json *sure, tt_ask(d, question("confirm", "Shall I book it?", "sure", NULL)));
    if (!tt_true(sure, false)) {
        tt_say(d, "All right, nothing is booked.");
        return tt_give_up(d);
    }
    TT_AWAIT(const tt_json *kept, tt_once(d, "keep", keep_trip, trip));
    (void)kept;
    tt_say(d, tt_format("Booked: %s.", line(trip)));
    return trip;
}

static tt_step not_in_winter(tt_turn *turn, const tt_json *value, int attempt) {
    (void)turn, (void)attempt;
    const char *month = strchr(tt_text(tt_get(value, "value"), "-"), '-') + 1;
    bool is_winter = !strncmp(month, "12", 2) || !strncmp(month, "01", 2) || !strncmp(month, "02", 2);
    return is_winter ? tt_reject("We do not travel in winter. Another day?") : tt_accept();
}

static void no_trip(tt_turn *turn, const char *reason) {
    (void)reason;
    tt_reply(turn, "No trip was booked.");
}

static const tt_dialog book = {
    .id = "book",
    .run = run_book,
    .validators = (const tt_validator[]){{"not-in-winter", not_in_winter}, {0}},
    .on_cancelled = no_trip,
};

/* --- The dialog `traveller`. --- */

static tt_step ask_name(tt_waterfall *step) {
    int number = (int)tt_double(tt_get(step->options, "number"), 1), of = (int)tt_double(tt_get(step->options, "of"), 1);
    const char *text = of == 1 ? "What is your name?" : tt_format("What is the name of traveller %d?", number);
    tt_prompt name = question("text", text, NULL, "Two letters at least, please.");
    return tt_prompt_step(tt_with(tt_with(name, "min-length", tt_int(2)), "max-length", tt_int(80)));
}

static tt_step ask_passport(tt_waterfall *step) {
    tt_set(step->values, "name", step->outcome.result);
    const char *text = tt_format("A picture of the passport of %s, please.", tt_text(step->outcome.result, ""));
    tt_prompt file = question("attachment", text, NULL, "One picture or PDF, please.");
    file = tt_with(file, "content-types", tt_parse("[\"image/*\", \"application/pdf\"]"));
    return tt_prompt_step(tt_with(file, "max-count", tt_int(1)));
}

static tt_step keep(tt_waterfall *step) {
    const tt_json *file = tt_at(step->outcome.result, 0);
    const char *url = tt_text(tt_get(file, "contentUrl"), "received"), *passport = tt_text(tt_get(file, "name"), url);
    tt_json *traveller = tt_set(tt_object(), "name", tt_get(step->values, "name"));
    return tt_done(tt_set(traveller, "passport", tt_string(passport)));
}

static const tt_dialog traveller = {
    .id = "traveller",
    .stages = (const tt_stage[]){{ask_name, false}, {ask_passport, false}, {keep, false}, {0}},
};

/* --- Handlers. --- */

static void show_trips(tt_turn *turn) {
    const tt_json *trips = tt_state(turn, "user", "trips");
    const char *text = "";
    for (size_t at = 0; at < tt_length(trips); at++) text = tt_format("%s%s%s", text, at ? "\n\n" : "", line(tt_at(trips, at)));
    if (*text) {
        tt_reply(turn, text);
    } else {
        tt_reply_activity(turn, tt_suggest(tt_message("You have no trips. Say «book» to book one."), "book"));
    }
}

static tt_flow on_message(tt_turn *turn) {
    const char *text = tt_spoken_text(turn);
    if (!strcasecmp(text, "book") || !strcasecmp(text, "book a trip")) {
        tt_begin(turn, "book", NULL);
    } else if (!strcasecmp(text, "trips") || !strcasecmp(text, "my trips")) {
        show_trips(turn);
    } else {
        return TT_NEXT;
    }
    return TT_HANDLED;
}

tt_bot turntable_bot = {
    .name = "travel",
    .description = "Books trips",
    .activities = (const char *const[]){"message", NULL},
    .state = (const char *const[]){"user", NULL},
    .settings = "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"destinations\": {\"type\": \"array\","
                "\"minItems\": 1, \"maxItems\": 20, \"items\": {\"type\": \"string\", \"minLength\": 1},"
                "\"description\": \"Where trips go. Default: Lisbon, Oslo and Rome.\"}}}",
    .dialogs = (const tt_dialog *const[]){&book, &traveller, NULL},
    .on_message = on_message,
};
