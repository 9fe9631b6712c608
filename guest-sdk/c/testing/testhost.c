/* The test host: the functions of the contract in a test, and the connection to `turntable testbed`. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../src/internal.h"
#include "turntable_test.h"

/* What outlives a turn. */
static tt_json *values, *frames, *settings;
static int numbers, differences;
static const char *user = "user", *conversation = "conversation";

/* What a turn stages. A copy is kept to undo a part of it. */
typedef struct staged {
    tt_json *values, *sent, *asked, *response;
} staged;

static staged now, committed;
static const tt_json *incoming;
static tt_json *manifest, *lines, *shown, *changes;
static bool is_in_handler;

static tt_json *or_new(tt_json *value) { return value ? value : tt_object(); }

static staged copied(staged from) {
    return (staged){tt_copy(from.values), tt_copy(from.sent), tt_copy(from.asked), tt_copy(from.response)};
}

static char *number(const char *prefix) { return tt_format("%s%d", prefix, ++numbers); }

static void refuse(tt_fault *fault, const char *code, const char *message) { *fault = (tt_fault){code, message, NULL, 0}; }

static bool has(const tt_json *texts, const char *text) {
    for (size_t at = 0; at < tt_length(texts); at++) {
        if (!strcmp(tt_text(tt_at(texts, at), ""), text)) return true;
    }
    return false;
}

static const tt_json *want(const char *grant) { return tt_get(tt_get(manifest, "wants"), grant); }

/* --- The functions of the contract. --- */

static void keep(const char *id, const char *as, const tt_json *activity) {
    tt_json *sent = tt_set(tt_set(tt_object(), "id", tt_string(id)), "as", tt_string(as));
    tt_push(now.sent, tt_set(sent, "activity", activity));
}

static void complete(tt_json *activity, const char *name, const tt_json *value) {
    if (value && !tt_get(activity, name)) tt_set(activity, name, value);
}

const char *tt_host_stage(bool is_reply, const char *text, tt_fault *fault) {
    tt_json *activity = tt_parse(text);
    const char *type = tt_text(tt_get(activity, "type"), NULL);
    if (!type) return refuse(fault, "invalid", "the activity has no `type`"), NULL;
    if (!strcmp(type, "invokeResponse")) return refuse(fault, "invalid", "only the host sends `invokeResponse`"), NULL;
    complete(activity, "from", tt_get(incoming, "recipient"));
    complete(activity, "recipient", tt_get(incoming, "from"));
    complete(activity, "conversation", tt_get(incoming, "conversation"));
    complete(activity, "channelId", tt_get(incoming, "channelId"));
    complete(activity, "locale", tt_get(incoming, "locale"));
    if (is_reply) complete(activity, "replyToId", tt_get(incoming, "id"));
    const char *id = tt_format("tt-%026d", ++numbers);
    keep(id, is_reply ? "reply" : "send", activity);
    return id;
}

static void change(const char *id, const char *as, const tt_json *activity, tt_fault *fault) {
    bool is_known = strncmp(id, "tt-", 3) != 0;
    for (size_t at = 0; at < tt_length(now.sent); at++) {
        is_known = is_known || !strcmp(tt_text(tt_get(tt_at(now.sent, at), "id"), ""), id);
    }
    if (!*id || !is_known) {
        refuse(fault, "invalid", tt_format("no activity has the id `%s`", id));
        return;
    }
    keep(id, as, activity);
}

void tt_host_update(const char *id, const char *text, tt_fault *fault) { change(id, "update", tt_parse(text), fault); }
void tt_host_delete(const char *id, tt_fault *fault) { change(id, "delete", tt_object(), fault); }

static void commit(void) {
    committed = copied(now);
    values = now.values;
}

void tt_host_flush(tt_fault *fault) {
    if (is_in_handler) {
        commit();
    } else {
        refuse(fault, "denied", "return the step `flush` instead");
    }
}

void tt_host_respond(uint32_t status, const char *body, tt_fault *fault) {
    if (strcmp(tt_text(tt_get(incoming, "type"), ""), "invoke")) {
        refuse(fault, "invalid", "the turn is no invoke");
    } else if (status < 200 || status > 599) {
        refuse(fault, "invalid", tt_format("the status %u is not between 200 and 599", (unsigned)status));
    } else {
        now.response = tt_set(tt_object(), "status", tt_int(status));
        if (body) tt_set(now.response, "body", tt_parse(body));
    }
}

/* Returns the place of a value in the memory, or NULL with a fault. */
static const char *place(const char *scope, const char *key, tt_fault *fault) {
    if (!has(want("state"), scope)) {
        refuse(fault, "denied", tt_format("the bot does not ask for state of `%s`: add it to `.state`", scope));
        return NULL;
    }
    if (!*key || strlen(key) > 256) {
        refuse(fault, "invalid", tt_format("a key has 1 to 256 bytes, this one has %d", (int)strlen(key)));
        return NULL;
    }
    const char *who = tt_text(tt_get(tt_get(incoming, "from"), "id"), user), *one = "", *two = "";
    if (!strcmp(scope, "user") || !strcmp(scope, "private")) one = who;
    if (!strcmp(scope, "conversation") || !strcmp(scope, "private")) two = conversation;
    return tt_format("%s\n%s\n%s\n%s", scope, one, two, key);
}

const char *tt_host_state_get(const char *scope, const char *key, const char **etag, tt_fault *fault) {
    const char *at = place(scope, key, fault);
    const tt_json *entry = at ? tt_get(now.values, at) : NULL;
    if (tt_is_null(entry)) return NULL;
    *etag = tt_text(tt_get(entry, "etag"), "");
    return tt_text(tt_get(entry, "value"), "");
}

static bool is_current(const char *at, const char *etag, tt_fault *fault) {
    bool is = !etag || !strcmp(etag, tt_text(tt_get(tt_get(now.values, at), "etag"), ""));
    if (!is) refuse(fault, "conflict", "the value is not the one that the etag names");
    return is;
}

const char *tt_host_state_set(const char *scope, const char *key, const char *value, const char *etag, tt_fault *fault) {
    const char *at = place(scope, key, fault);
    if (!at || !is_current(at, etag, fault)) return NULL;
    const char *written = number("");
    tt_set(now.values, at, tt_set(tt_set(tt_object(), "value", tt_string(value)), "etag", tt_string(written)));
    return written;
}

void tt_host_state_remove(const char *scope, const char *key, const char *etag, tt_fault *fault) {
    const char *at = place(scope, key, fault);
    if (at && is_current(at, etag, fault)) tt_set(now.values, at, NULL);
}

const char *tt_host_config(const char *key) {
    const tt_json *value = tt_get(settings, key);
    return value ? tt_write(value) : NULL;
}

tt_json *tt_host_config_keys(void) {
    tt_json *keys = tt_array();
    for (size_t at = 0; at < tt_length(settings); at++) tt_push(keys, tt_string(tt_name_at(settings, at)));
    return keys;
}

void tt_host_log(const char *level, const char *message, const char **fields, uint32_t count) {
    char *line = tt_format("%s %s", level, message);
    for (uint32_t at = 0; at < count; at++) line = tt_format("%s %s=%s", line, fields[2 * at], fields[2 * at + 1]);
    tt_push(lines, tt_string(line));
}

static bool may_change(tt_fault *fault) {
    if (!want("dialogs")) refuse(fault, "denied", "the bot does not ask for `dialogs`");
    if (!is_in_handler) refuse(fault, "denied", "a dialog changes the stack by the step that it returns");
    return !fault->code;
}

const char *tt_host_begin(bool replaces, const char *dialog, const char *options, tt_fault *fault) {
    bool is_known = false;
    const tt_json *dialogs = tt_get(manifest, "dialogs");
    if (!may_change(fault)) return NULL;
    for (size_t at = 0; at < tt_length(dialogs); at++) {
        is_known = is_known || !strcmp(tt_text(tt_get(tt_at(dialogs, at), "id"), ""), dialog);
    }
    if (!is_known) return refuse(fault, "invalid", tt_format("the manifest has no dialog `%s`", dialog)), NULL;
    const char *id = number("frame-");
    tt_json *begun = tt_set(tt_set(tt_object(), "dialog", tt_string(dialog)), "options", tt_string(options));
    tt_set(begun, "id", tt_string(id));
    tt_push(changes, tt_set(tt_object(), replaces ? "replace" : "begin", begun));
    tt_json *frame = tt_set(tt_set(tt_object(), "id", tt_string(id)), "plugin", tt_string("test"));
    tt_json *stack = tt_push(tt_array(), tt_set(tt_set(frame, "dialog", tt_string(dialog)), "waitsFor", tt_string("none")));
    for (size_t at = replaces ? 1 : 0; at < tt_length(shown); at++) tt_push(stack, tt_at(shown, at));
    shown = stack;
    return id;
}

uint32_t tt_host_cancel_all(tt_fault *fault) {
    uint32_t count = (uint32_t)tt_length(shown);
    if (!may_change(fault)) return 0;
    shown = tt_array();
    tt_push(changes, tt_string("cancel-all"));
    return count;
}

bool tt_host_reprompt(tt_fault *fault) {
    if (!may_change(fault)) return false;
    tt_push(changes, tt_string("reprompt"));
    return tt_length(shown) && strcmp(tt_text(tt_get(tt_at(shown, 0), "waitsFor"), "none"), "none");
}

tt_json *tt_host_stack(tt_fault *fault) {
    (void)fault;
    return shown;
}

const char *tt_host_reference(tt_fault *fault) {
    (void)fault;
    return tt_write(tt_set(tt_object(), "conversation", tt_string(conversation)));
}

const char *tt_host_schedule(const char *name, const char *at, const char *reference, const char *mode, const char *content,
                             tt_fault *fault) {
    const tt_json *read = tt_parse(content);
    if (!want("conversations")) return refuse(fault, "denied", "the bot does not ask for `conversations`"), NULL;
    if (!strcmp(mode, "now") && tt_get(read, "dialog")) {
        return refuse(fault, "invalid", "a dialog cannot be delivered `now`"), NULL;
    }
    const char *id = number("");
    tt_json *asked = tt_set(tt_set(tt_object(), "id", tt_string(id)), "reference", tt_string(reference));
    tt_set(tt_set(asked, "mode", tt_string(mode)), "content", read);
    if (name) tt_set(tt_set(asked, "name", tt_string(name)), "at", tt_string(at));
    tt_push(now.asked, asked);
    return id;
}

const char *tt_host_notify(const char *reference, const char *mode, const char *content, tt_fault *fault) {
    return tt_host_schedule(NULL, NULL, reference, mode, content, fault);
}

bool tt_host_cancel(const char *id, tt_fault *fault) {
    (void)fault;
    tt_json *rest = tt_array();
    for (size_t at = 0; at < tt_length(now.asked); at++) {
        const tt_json *asked = tt_at(now.asked, at);
        if (strcmp(tt_text(tt_get(asked, "id"), ""), id)) tt_push(rest, asked);
    }
    bool is_cancelled = tt_length(rest) < tt_length(now.asked);
    now.asked = rest;
    return is_cancelled;
}

/* 1 June 2026, noon. */
double tt_host_now(void) { return 1780315200000.0; }

/* --- The testbed. --- */

static FILE *requests, *answers;

static void connect(void) {
    const char *program = getenv("TURNTABLE");
    int to[2], from[2];
    if (requests) return;
    if (!program || !*program) program = "turntable";
    if (pipe(to) || pipe(from)) abort();
    if (!fork()) {
        dup2(to[0], 0), dup2(from[1], 1);
        close(to[0]), close(to[1]), close(from[0]), close(from[1]);
        execlp(program, program, "testbed", (char *)NULL);
        fprintf(stderr, "`%s` could not start; put the program on the PATH, or set TURNTABLE to its file\n", program);
        _exit(127);
    }
    close(to[0]), close(from[1]);
    answers = fdopen(to[1], "w"), requests = fdopen(from[0], "r");
}

/* Writes a line to the testbed and returns its answer. */
static tt_json *exchange(const tt_json *message) {
    char *line = NULL;
    size_t size = 0;
    fprintf(answers, "%s\n", tt_write(message));
    fflush(answers);
    if (getline(&line, &size, requests) < 0) {
        fprintf(stderr, "`turntable testbed` ended in the middle of a turn\n");
        exit(2);
    }
    line[strcspn(line, "\n")] = 0;
    tt_json *request = tt_parse(line);
    free(line);
    return request;
}

static tt_meta meta(const char *trigger) {
    tt_json *extra = tt_set(tt_object(), "plugin", tt_string("test"));
    return (tt_meta){"turn", "bot", tt_text(tt_get(incoming, "channelId"), ""), conversation,
                     tt_text(tt_get(incoming, "type"), ""), trigger, tt_text(tt_get(incoming, "locale"), NULL), 1000, extra};
}

static tt_json *failed(const tt_fault *fault) {
    tt_json *record = tt_set(tt_set(tt_object(), "code", tt_string(fault->code)), "message", tt_string(fault->message));
    return tt_set(tt_object(), "fault", record);
}

static tt_json *handled(const tt_json *handle, tt_fault *fault) {
    is_in_handler = true, changes = tt_array(), shown = tt_copy(tt_get(handle, "frames"));
    tt_flow flow = tt_on_activity(meta(tt_text(tt_get(handle, "trigger"), "")), tt_write(tt_get(handle, "activity")), fault);
    is_in_handler = false;
    return tt_set(tt_set(tt_object(), "flow", tt_string(flow == TT_HANDLED ? "handled" : "next")), "changes", changes);
}

static tt_json *stepped(const tt_json *call, tt_fault *fault) {
    const char *name = tt_text(tt_get(call, "dialog"), "");
    tt_meta about = meta(tt_format("dialog:%s", name));
    tt_set(tt_set(about.extra, "frame", tt_get(call, "frame")), "depth", tt_string(tt_write(tt_get(call, "depth"))));
    const char *kind = tt_text(tt_get(call, "event"), ""), *state = tt_text(tt_get(call, "state"), NULL);
    tt_step step = tt_on_dialog(about, kind, name, tt_text(tt_get(call, "data"), "null"), state, fault);
    tt_json *written = tt_set(tt_object(), "kind", tt_string(step.kind));
    tt_set(written, "state", step.state ? tt_string(tt_write(step.state)) : NULL);
    return tt_set(tt_object(), "step", tt_set(written, "data", tt_string(tt_write(step.data))));
}

/* Answers a request of the testbed. */
static tt_json *answered(const tt_json *request) {
    tt_fault fault = {0};
    staged before = copied(now);
    tt_json *answer = tt_object();
    if (tt_get(request, "handle")) {
        answer = handled(tt_get(request, "handle"), &fault);
    } else if (tt_get(request, "dialog")) {
        answer = stepped(tt_get(request, "dialog"), &fault);
    } else if (tt_get(request, "send")) {
        tt_host_stage(true, tt_write(tt_get(request, "send")), &fault);
    } else if (tt_get(request, "flush")) {
        commit();
    } else if (tt_get(request, "rollback")) {
        now = copied(committed);
    }
    if (!fault.code) return answer;
    now = before;
    return failed(&fault);
}

/* --- What tests call. --- */

static tt_json *account(const char *id) { return tt_set(tt_object(), "id", tt_string(id)); }

tt_json *tt_test_takes(const tt_json *activity) {
    connect();
    tt_json *said = tt_copy(activity);
    complete(said, "id", tt_string(number("in-")));
    complete(said, "channelId", tt_string("test"));
    complete(said, "from", account(user));
    complete(said, "recipient", account("bot"));
    complete(said, "conversation", account(conversation));
    incoming = said, manifest = tt_parse(tt_describe()), lines = tt_array();
    now = (staged){or_new(tt_copy(values)), tt_array(), tt_array(), NULL};
    committed = copied(now);
    tt_json *turn = tt_set(tt_set(tt_object(), "activity", said), "manifest", manifest);
    const tt_json *stack = tt_get(frames, conversation);
    tt_set(tt_set(turn, "frames", stack ? stack : tt_array()), "number", tt_int(++numbers));
    tt_set(tt_set(turn, "now", tt_number(tt_host_now())), "trigger", tt_string("activity"));
    tt_json *request = exchange(tt_set(tt_object(), "turn", turn));
    while (!tt_get(request, "end")) request = exchange(answered(request));
    tt_json *end = tt_get(request, "end");
    if (!tt_is_null(tt_get(end, "frames"))) tt_set(frames = or_new(frames), conversation, tt_get(end, "frames"));
    commit();
    tt_json *answer = tt_set(tt_set(tt_object(), "flow", tt_get(end, "flow")), "fault", tt_get(end, "fault"));
    tt_set(tt_set(tt_set(answer, "sent", now.sent), "response", now.response), "log", lines);
    return tt_set(tt_set(answer, "asked", now.asked), "stack", tt_get(end, "stack"));
}

tt_json *tt_test_messages(const tt_json *answer) {
    const tt_json *sent = tt_get(answer, "sent");
    tt_json *messages = tt_array();
    for (size_t at = 0; at < tt_length(sent); at++) {
        const tt_json *activity = tt_get(tt_at(sent, at), "activity");
        if (!strcmp(tt_text(tt_get(activity, "type"), ""), "message")) tt_push(messages, activity);
    }
    return messages;
}

const char *tt_test_says(const char *text) {
    const tt_json *messages = tt_test_messages(tt_test_takes(tt_message(text)));
    char *texts = "";
    for (size_t at = 0; at < tt_length(messages); at++) {
        texts = tt_format("%s%s%s", texts, at ? "\n" : "", tt_text(tt_get(tt_at(messages, at), "text"), ""));
    }
    return texts;
}

void tt_test_setting(const char *key, const tt_json *value) { tt_set(settings = or_new(settings), key, value); }

void tt_test_as(const char *one, const char *place) {
    user = one;
    conversation = place;
}

void tt_test_expect(const char *file, int line, const char *actual, const char *expected) {
    if (!strcmp(actual, expected)) return;
    differences++;
    fprintf(stderr, "%s:%d: expected\n  %s\nbut it is\n  %s\n", file, line, expected, actual);
}

int tt_test_end(void) {
    fprintf(stderr, "%d differences\n", differences);
    return differences != 0;
}
