/* The contract as a component has it: the canonical ABI of its imports and exports. */
#ifdef __wasm__

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

#define IMPORT(interface, function) __attribute__((import_module("turntable:bot/" interface "@0.1.0"), import_name(function)))
#define EXPORT(name) __attribute__((export_name(name)))

/* A string or list in linear memory, and an option of one. */
typedef struct text {
    const char *data;
    size_t size;
} text;

typedef struct option {
    uint8_t is_some;
    text text;
} option;

/* A result of the contract: a value of any type, or a fault. */
typedef struct result {
    uint8_t is_error;
    union {
        text text;
        uint32_t number;
        uint8_t flag;
        struct {
            uint8_t is_some;
            text value, etag;
        } entry;
        struct {
            text code, message;
            uint8_t has_retry;
            uint32_t retry_after_ms;
            option detail;
        } fault;
        struct {
            text kind;
            option state;
            text data;
        } step;
    };
} result;

/* Strings of the host end with a zero byte, because each allocation has one more than the host asks for. */
EXPORT("cabi_realloc")
void *tt_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)align;
    char *memory = tt_alloc(size + 1);
    if (old) memcpy(memory, old, old_size < size ? old_size : size);
    return memory;
}

static const char *read(text text) { return text.size ? text.data : ""; }
static const char *read_option(option option) { return option.is_some ? read(option.text) : NULL; }
static text write(const char *value) { return value ? (text){value, strlen(value)} : (text){0}; }
static option write_option(const char *value) { return (option){value != NULL, write(value)}; }
#define FLAT(value) (value), strlen(value)
#define FLAT_OPTION(value) (value) != NULL, (value), (value) ? strlen(value) : 0

/* Notes the fault of a call. Returns whether the call succeeded. */
static bool is_done(const result *answer, tt_fault *fault) {
    if (!answer->is_error) return true;
    *fault = (tt_fault){read(answer->fault.code), read(answer->fault.message), read_option(answer->fault.detail),
                        answer->fault.has_retry ? answer->fault.retry_after_ms : 0};
    return false;
}

IMPORT("turn", "reply") void import_reply(const char *, size_t, result *);
IMPORT("turn", "send") void import_send(const char *, size_t, result *);
IMPORT("turn", "update") void import_update(const char *, size_t, const char *, size_t, result *);
IMPORT("turn", "delete") void import_delete(const char *, size_t, result *);
IMPORT("turn", "flush") void import_flush(result *);
IMPORT("turn", "respond") void import_respond(uint32_t, uint32_t, const char *, size_t, result *);
IMPORT("state", "get") void import_get(const char *, size_t, const char *, size_t, result *);
IMPORT("state", "set")
void import_set(const char *, size_t, const char *, size_t, const char *, size_t, uint32_t, const char *, size_t, result *);
IMPORT("state", "remove")
void import_remove(const char *, size_t, const char *, size_t, uint32_t, const char *, size_t, result *);
IMPORT("config", "get") void import_config(const char *, size_t, option *);
IMPORT("config", "keys") void import_keys(text *);
IMPORT("log", "write") void import_log(const char *, size_t, const char *, size_t, const text *, size_t);
IMPORT("dialogs", "begin") void import_begin(const char *, size_t, const char *, size_t, result *);
IMPORT("dialogs", "replace") void import_replace(const char *, size_t, const char *, size_t, result *);
IMPORT("dialogs", "cancel-all") void import_cancel_all(result *);
IMPORT("dialogs", "reprompt") void import_reprompt(result *);
IMPORT("dialogs", "stack") void import_stack(result *);
IMPORT("conversations", "reference") void import_reference(result *);
IMPORT("conversations", "notify")
void import_notify(const char *, size_t, const char *, size_t, const char *, size_t, result *);
IMPORT("conversations", "schedule")
void import_schedule(const char *, size_t, const char *, size_t, const char *, size_t, const char *, size_t, const char *,
                     size_t, result *);
IMPORT("conversations", "cancel") void import_cancel(const char *, size_t, result *);

const char *tt_host_stage(bool is_reply, const char *activity, tt_fault *fault) {
    result answer = {0};
    (is_reply ? import_reply : import_send)(FLAT(activity), &answer);
    return is_done(&answer, fault) ? read(answer.text) : NULL;
}

void tt_host_update(const char *id, const char *activity, tt_fault *fault) {
    result answer = {0};
    import_update(FLAT(id), FLAT(activity), &answer);
    is_done(&answer, fault);
}

void tt_host_delete(const char *id, tt_fault *fault) {
    result answer = {0};
    import_delete(FLAT(id), &answer);
    is_done(&answer, fault);
}

void tt_host_flush(tt_fault *fault) {
    result answer = {0};
    import_flush(&answer);
    is_done(&answer, fault);
}

void tt_host_respond(uint32_t status, const char *body, tt_fault *fault) {
    result answer = {0};
    import_respond(status, FLAT_OPTION(body), &answer);
    is_done(&answer, fault);
}

const char *tt_host_state_get(const char *scope, const char *key, const char **etag, tt_fault *fault) {
    result answer = {0};
    import_get(FLAT(scope), FLAT(key), &answer);
    if (!is_done(&answer, fault) || !answer.entry.is_some) return NULL;
    *etag = read(answer.entry.etag);
    return read(answer.entry.value);
}

const char *tt_host_state_set(const char *scope, const char *key, const char *value, const char *etag, tt_fault *fault) {
    result answer = {0};
    import_set(FLAT(scope), FLAT(key), FLAT(value), FLAT_OPTION(etag), &answer);
    return is_done(&answer, fault) ? read(answer.text) : NULL;
}

void tt_host_state_remove(const char *scope, const char *key, const char *etag, tt_fault *fault) {
    result answer = {0};
    import_remove(FLAT(scope), FLAT(key), FLAT_OPTION(etag), &answer);
    is_done(&answer, fault);
}

const char *tt_host_config(const char *key) {
    option value = {0};
    import_config(FLAT(key), &value);
    return read_option(value);
}

tt_json *tt_host_config_keys(void) {
    text keys = {0};
    tt_json *list = tt_array();
    import_keys(&keys);
    for (size_t at = 0; at < keys.size; at++) tt_push(list, tt_string(read(((const text *)(const void *)keys.data)[at])));
    return list;
}

void tt_host_log(const char *level, const char *message, const char **fields, uint32_t count) {
    text pairs[32];
    for (uint32_t at = 0; at < 2 * count; at++) pairs[at] = write(fields[at]);
    import_log(FLAT(level), FLAT(message), pairs, count);
}

const char *tt_host_begin(bool replaces, const char *dialog, const char *options, tt_fault *fault) {
    result answer = {0};
    (replaces ? import_replace : import_begin)(FLAT(dialog), FLAT(options), &answer);
    return is_done(&answer, fault) ? read(answer.text) : NULL;
}

uint32_t tt_host_cancel_all(tt_fault *fault) {
    result answer = {0};
    import_cancel_all(&answer);
    return is_done(&answer, fault) ? answer.number : 0;
}

bool tt_host_reprompt(tt_fault *fault) {
    result answer = {0};
    import_reprompt(&answer);
    return is_done(&answer, fault) && answer.flag;
}

tt_json *tt_host_stack(tt_fault *fault) {
    static const char *const names[] = {"id", "plugin", "dialog", "waitsFor"};
    result answer = {0};
    tt_json *stack = tt_array();
    import_stack(&answer);
    if (!is_done(&answer, fault)) return stack;
    const text *members = (const text *)(const void *)answer.text.data;
    for (size_t at = 0; at < answer.text.size; at++) {
        tt_json *frame = tt_object();
        for (size_t member = 0; member < 4; member++) tt_set(frame, names[member], tt_string(read(members[4 * at + member])));
        tt_push(stack, frame);
    }
    return stack;
}

const char *tt_host_reference(tt_fault *fault) {
    result answer = {0};
    import_reference(&answer);
    return is_done(&answer, fault) ? read(answer.text) : NULL;
}

const char *tt_host_notify(const char *reference, const char *mode, const char *content, tt_fault *fault) {
    result answer = {0};
    import_notify(FLAT(reference), FLAT(mode), FLAT(content), &answer);
    return is_done(&answer, fault) ? read(answer.text) : NULL;
}

const char *tt_host_schedule(const char *name, const char *at, const char *reference, const char *mode, const char *content,
                             tt_fault *fault) {
    result answer = {0};
    import_schedule(FLAT(name), FLAT(at), FLAT(reference), FLAT(mode), FLAT(content), &answer);
    return is_done(&answer, fault) ? read(answer.text) : NULL;
}

bool tt_host_cancel(const char *id, tt_fault *fault) {
    result answer = {0};
    import_cancel(FLAT(id), &answer);
    return is_done(&answer, fault) && answer.flag;
}

double tt_host_now(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec * 1000 + (double)(now.tv_nsec / 1000000);
}

/* --- Exports. --- */

/* The record turn-meta. */
typedef struct wire_meta {
    text turn, bot, channel, conversation, kind, trigger;
    option locale;
    uint32_t budget_ms;
    const text *extra;
    size_t extra_count;
} wire_meta;

typedef struct wire_event {
    wire_meta meta;
    text kind, name, data;
    option state; /* of on-dialog only */
} wire_event;

static tt_meta read_meta(const wire_meta *meta) {
    tt_json *extra = tt_object();
    for (size_t at = 0; at < meta->extra_count; at++) {
        tt_set(extra, read(meta->extra[2 * at]), tt_string(read(meta->extra[2 * at + 1])));
    }
    return (tt_meta){read(meta->turn), read(meta->bot),     read(meta->channel),       read(meta->conversation), read(meta->kind),
                     read(meta->trigger), read_option(meta->locale), meta->budget_ms, extra};
}

static result *failed(result *answer, const tt_fault *fault) {
    answer->is_error = 1;
    answer->fault.code = write(fault->code);
    answer->fault.message = write(fault->message);
    answer->fault.has_retry = fault->retry_after_ms != 0;
    answer->fault.retry_after_ms = fault->retry_after_ms;
    answer->fault.detail = write_option(fault->detail);
    return answer;
}

EXPORT("turntable:bot/bot-handler@0.1.0#describe") text *export_describe(void) {
    text *manifest = tt_alloc(sizeof *manifest);
    *manifest = write(tt_describe());
    return manifest;
}

typedef struct wire_activity {
    wire_meta meta;
    text activity;
} wire_activity;

EXPORT("turntable:bot/bot-handler@0.1.0#on-activity") result *export_on_activity(const wire_activity *arguments) {
    tt_fault fault = {0};
    result *answer = tt_alloc(sizeof *answer);
    tt_flow flow = tt_on_activity(read_meta(&arguments->meta), read(arguments->activity), &fault);
    if (fault.code) return failed(answer, &fault);
    answer->flag = flow == TT_HANDLED;
    return answer;
}

static result *stepped(tt_step step, const tt_fault *fault) {
    result *answer = tt_alloc(sizeof *answer);
    if (fault->code) return failed(answer, fault);
    answer->step.kind = write(step.kind);
    answer->step.state = write_option(step.state ? tt_write(step.state) : NULL);
    answer->step.data = write(tt_write(step.data));
    return answer;
}

EXPORT("turntable:bot/dialog-handler@0.1.0#on-dialog") result *export_on_dialog(const wire_event *it) {
    tt_fault fault = {0};
    tt_step step = tt_on_dialog(read_meta(&it->meta), read(it->kind), read(it->name), read(it->data), read_option(it->state), &fault);
    return stepped(step, &fault);
}

EXPORT("turntable:bot/middleware@0.1.0#on-event") result *export_on_event(const wire_event *it) {
    tt_fault fault = {0};
    return stepped(tt_on_event(read_meta(&it->meta), read(it->kind), read(it->name), read(it->data), &fault), &fault);
}

#endif
