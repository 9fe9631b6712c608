/* The turn: sends, state, settings, the log, the stack and deliveries. */
#include <string.h>

#include "internal.h"

/* Returns where a call notes its fault. The first fault of a turn stays. */
static tt_fault *noted(tt_turn *turn, tt_fault *fault) {
    if (fault->code && !turn->internal->fault.code) turn->internal->fault = *fault;
    return fault;
}

const char *tt_turn_text(const tt_turn *turn) { return tt_text(tt_get(turn->activity, "text"), ""); }
const char *tt_sender(const tt_turn *turn) { return tt_text(tt_get(turn->meta.extra, "sender"), ""); }

static bool is_bot(const tt_json *activity, const tt_json *account) {
    const char *id = tt_text(tt_get(account, "id"), NULL), *bot = tt_text(tt_get(tt_get(activity, "recipient"), "id"), NULL);
    return id && bot && !strcmp(id, bot);
}

static char *without(const char *text, const char *part) {
    char *rest = tt_copy_text(text, strlen(text)), *found;
    while (*part && (found = strstr(rest, part))) memmove(found, found + strlen(part), strlen(found + strlen(part)) + 1);
    return rest;
}

const char *tt_spoken_text(const tt_turn *turn) {
    const char *spoken = tt_text(tt_get(turn->meta.extra, "spoken-text"), NULL), *text = tt_turn_text(turn);
    if (spoken) return spoken;
    const tt_json *entities = tt_get(turn->activity, "entities");
    for (size_t at = 0; at < tt_length(entities); at++) {
        const tt_json *entity = tt_at(entities, at);
        bool is_mention = !strcmp(tt_text(tt_get(entity, "type"), ""), "mention");
        if (is_mention && is_bot(turn->activity, tt_get(entity, "mentioned"))) {
            text = without(text, tt_text(tt_get(entity, "text"), ""));
        }
    }
    size_t from = strspn(text, " \t\r\n"), to = strlen(text);
    while (to > from && strchr(" \t\r\n", text[to - 1])) to--;
    return tt_copy_text(text + from, to - from);
}

void tt_fail(tt_turn *turn, const char *code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    tt_fault fault = {code, tt_vformat(format, arguments), NULL, 0};
    va_end(arguments);
    noted(turn, &fault);
}

const char *tt_failed(const tt_turn *turn) { return turn->internal->fault.code; }
void tt_forgive(tt_turn *turn) { turn->internal->fault = (tt_fault){0}; }

static const char *stage(tt_turn *turn, bool is_reply, const tt_json *activity) {
    tt_fault fault = {0};
    const char *id = tt_host_stage(is_reply, tt_write(activity), &fault);
    return noted(turn, &fault)->code ? NULL : id;
}

const char *tt_reply(tt_turn *turn, const char *text) { return stage(turn, true, tt_message(text)); }
const char *tt_reply_activity(tt_turn *turn, const tt_json *activity) { return stage(turn, true, activity); }
const char *tt_send(tt_turn *turn, const char *text) { return stage(turn, false, tt_message(text)); }
const char *tt_send_activity(tt_turn *turn, const tt_json *activity) { return stage(turn, false, activity); }

bool tt_update(tt_turn *turn, const char *id, const tt_json *activity) {
    tt_fault fault = {0};
    tt_host_update(id, tt_write(activity), &fault);
    return !noted(turn, &fault)->code;
}

bool tt_delete(tt_turn *turn, const char *id) {
    tt_fault fault = {0};
    tt_host_delete(id, &fault);
    return !noted(turn, &fault)->code;
}

bool tt_typing(tt_turn *turn) {
    return stage(turn, true, tt_set(tt_object(), "type", tt_string("typing"))) != NULL;
}

bool tt_flush(tt_turn *turn) {
    tt_fault fault = {0};
    tt_host_flush(&fault);
    return !noted(turn, &fault)->code;
}

bool tt_respond(tt_turn *turn, uint32_t status, const tt_json *body) {
    tt_fault fault = {0};
    tt_host_respond(status, body ? tt_write(body) : NULL, &fault);
    return !noted(turn, &fault)->code;
}

/* --- Activities. --- */

tt_json *tt_message(const char *text) {
    return tt_set(tt_set(tt_object(), "type", tt_string("message")), "text", tt_string(text));
}

tt_json *tt_event(const char *name, const tt_json *value) {
    tt_json *event = tt_set(tt_set(tt_object(), "type", tt_string("event")), "name", tt_string(name));
    return tt_set(event, "value", value);
}

/* Returns the array that is a member of an object, and adds it if there is none. */
static tt_json *list_of(tt_json *object, const char *name) {
    tt_json *list = tt_get(object, name);
    if (!list) tt_set(object, name, list = tt_array());
    return list;
}

tt_json *tt_attach(tt_json *message, const tt_json *attachment) {
    tt_push(list_of(message, "attachments"), attachment);
    return message;
}

tt_json *tt_suggest(tt_json *message, const char *button) {
    tt_json *suggested = tt_get(message, "suggestedActions");
    if (!suggested) tt_set(message, "suggestedActions", suggested = tt_set(tt_object(), "to", tt_array()));
    tt_json *action = tt_set(tt_set(tt_object(), "type", tt_string("imBack")), "title", tt_string(button));
    tt_push(list_of(suggested, "actions"), tt_set(action, "value", tt_string(button)));
    return message;
}

static tt_json *card(const char *type, const tt_json *content) {
    return tt_set(tt_set(tt_object(), "contentType", tt_string(type)), "content", content);
}

tt_json *tt_adaptive_card(const tt_json *content) { return card("application/vnd.microsoft.card.adaptive", content); }
tt_json *tt_hero_card(const tt_json *content) { return card("application/vnd.microsoft.card.hero", content); }

tt_json *tt_file(const char *content_type, const char *content_url, const char *name) {
    tt_json *file = tt_set(tt_object(), "contentType", tt_string(content_type));
    tt_set(file, "contentUrl", tt_string(content_url));
    return name ? tt_set(file, "name", tt_string(name)) : file;
}

/* --- State. --- */

static tt_etag *etag_of(tt_turn *turn, const char *scope, const char *key) {
    for (tt_etag *known = turn->internal->etags; known; known = known->next) {
        if (!strcmp(known->scope, scope) && !strcmp(known->key, key)) return known;
    }
    return NULL;
}

static void remember(tt_turn *turn, const char *scope, const char *key, const char *etag) {
    tt_etag *known = etag_of(turn, scope, key);
    if (!known) {
        known = tt_alloc(sizeof *known);
        *known = (tt_etag){tt_copy_text(scope, strlen(scope)), tt_copy_text(key, strlen(key)), NULL, turn->internal->etags};
        turn->internal->etags = known;
    }
    known->etag = etag ? etag : "";
}

tt_json *tt_state(tt_turn *turn, const char *scope, const char *key) {
    tt_fault fault = {0};
    const char *etag = NULL, *value = tt_host_state_get(scope, key, &etag, &fault);
    if (noted(turn, &fault)->code) return NULL;
    remember(turn, scope, key, etag);
    return value ? tt_parse(value) : NULL;
}

static bool set(tt_turn *turn, const char *scope, const char *key, const tt_json *value, const char *etag) {
    tt_fault fault = {0};
    const char *written = tt_host_state_set(scope, key, tt_write(value), etag, &fault);
    if (noted(turn, &fault)->code) return false;
    remember(turn, scope, key, written);
    return true;
}

bool tt_set_state(tt_turn *turn, const char *scope, const char *key, const tt_json *value) {
    if (!etag_of(turn, scope, key)) tt_state(turn, scope, key);
    tt_etag *known = etag_of(turn, scope, key);
    return known && set(turn, scope, key, value, known->etag);
}

bool tt_overwrite_state(tt_turn *turn, const char *scope, const char *key, const tt_json *value) {
    return set(turn, scope, key, value, NULL);
}

bool tt_remove_state(tt_turn *turn, const char *scope, const char *key) {
    if (!etag_of(turn, scope, key)) tt_state(turn, scope, key);
    tt_etag *known = etag_of(turn, scope, key);
    tt_fault fault = {0};
    if (!known) return false;
    tt_host_state_remove(scope, key, known->etag, &fault);
    if (noted(turn, &fault)->code) return false;
    known->etag = "";
    return true;
}

/* --- Settings and the log. --- */

tt_json *tt_config(tt_turn *turn, const char *key) {
    (void)turn;
    return tt_parse(tt_host_config(key));
}

tt_json *tt_config_keys(tt_turn *turn) {
    (void)turn;
    return tt_host_config_keys();
}

void tt_log(tt_turn *turn, const char *level, const char *message, ...) {
    const char *fields[32];
    uint32_t count = 0;
    va_list arguments;
    (void)turn;
    va_start(arguments, message);
    for (const char *name; count < 16 && (name = va_arg(arguments, const char *)); count++) {
        const char *value = va_arg(arguments, const char *);
        fields[2 * count] = name;
        fields[2 * count + 1] = value ? value : "";
    }
    va_end(arguments);
    tt_host_log(level, message, fields, count);
}

/* --- The stack, and deliveries. --- */

static const char *begin(tt_turn *turn, bool replaces, const char *dialog, const tt_json *options) {
    tt_fault fault = {0};
    const char *id = tt_host_begin(replaces, dialog, tt_write(options), &fault);
    return noted(turn, &fault)->code ? NULL : id;
}

const char *tt_begin(tt_turn *turn, const char *dialog, const tt_json *options) { return begin(turn, false, dialog, options); }
const char *tt_replace(tt_turn *turn, const char *dialog, const tt_json *options) { return begin(turn, true, dialog, options); }

uint32_t tt_cancel_all(tt_turn *turn) {
    tt_fault fault = {0};
    uint32_t count = tt_host_cancel_all(&fault);
    return noted(turn, &fault)->code ? 0 : count;
}

bool tt_reprompt(tt_turn *turn) {
    tt_fault fault = {0};
    bool waits = tt_host_reprompt(&fault);
    return !noted(turn, &fault)->code && waits;
}

tt_json *tt_stack(tt_turn *turn) {
    tt_fault fault = {0};
    tt_json *stack = tt_host_stack(&fault);
    return noted(turn, &fault)->code ? NULL : stack;
}

const char *tt_reference(tt_turn *turn) {
    tt_fault fault = {0};
    const char *reference = tt_host_reference(&fault);
    return noted(turn, &fault)->code ? NULL : reference;
}

const char *tt_notify(tt_turn *turn, const char *reference, const char *mode, const tt_json *content) {
    tt_fault fault = {0};
    const char *id = tt_host_notify(reference ? reference : "", mode, tt_write(content), &fault);
    return noted(turn, &fault)->code ? NULL : id;
}

const char *tt_schedule(tt_turn *turn, const char *name, const char *at, const char *reference, const char *mode,
                        const tt_json *content) {
    tt_fault fault = {0};
    const char *id = tt_host_schedule(name, at, reference ? reference : "", mode, tt_write(content), &fault);
    return noted(turn, &fault)->code ? NULL : id;
}

bool tt_cancel(tt_turn *turn, const char *id) {
    tt_fault fault = {0};
    bool is_cancelled = tt_host_cancel(id ? id : "", &fault);
    return !noted(turn, &fault)->code && is_cancelled;
}

tt_json *tt_deliver_activity(const tt_json *activity) { return tt_set(tt_object(), "activity", activity); }

tt_json *tt_deliver_event(const char *name, const tt_json *value) {
    return tt_set(tt_object(), "event", tt_set(tt_set(tt_object(), "name", tt_string(name)), "value", value));
}

tt_json *tt_deliver_dialog(const char *dialog, const tt_json *options) {
    return tt_set(tt_set(tt_object(), "dialog", tt_string(dialog)), "options", options);
}
