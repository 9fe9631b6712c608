/* The test host answers as the host does: tests/spec/parity.rs holds the same conversations with the component. The header of
 * src/conversations.rs beside conversations.txt explains the format. Usage: parity conversations.txt */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../dialogs.h"
#include "turntable_test.h"

static const char *path;
static int at_line;

/* What a conversation has set for its activities. */
static tt_json *about;

static void serve(int release) {
    extern volatile char parity_marker[];
    parity_marker[8] = (char)('0' + release);
    turntable_bot.dialogs = parity_dialogs(release);
}

static void begin(const char *title) {
    about = tt_set(tt_object(), "localTimestamp", tt_string("2026-06-01T12:00:00"));
    tt_set(about, "conversation", tt_set(tt_object(), "id", tt_string(title)));
    tt_test_as("user", tt_format("%s", title));
    serve(1);
}

static void set(const char *setting) {
    const char *value = strchr(setting, ' ');
    if (!strncmp(setting, "locale ", 7)) tt_set(about, "locale", tt_string(value + 1));
    if (!strncmp(setting, "channel ", 8)) tt_set(about, "channelId", tt_string(value + 1));
    if (!strncmp(setting, "release ", 8)) serve(atoi(value + 1));
    if (!strncmp(setting, "group", 5)) tt_set(tt_get(about, "conversation"), "isGroup", tt_bool(true));
}

/* Returns what the bot answers, a line each, as conversations.txt has it. */
static const char *answers(const char *head, const char *said) {
    const char *speaker = tt_format("%.*s", (int)strlen(head) - 1, head);
    char mark = head[strlen(head) - 1];
    tt_json *activity = tt_set(tt_copy(about), "type", tt_string(mark == '!' ? "event" : "message"));
    tt_set(activity, "from", tt_set(tt_object(), "id", tt_string(speaker)));
    if (mark == '>') tt_set(activity, "text", tt_string(said));
    if (mark == '!') tt_set(activity, "name", tt_string(said));
    if (mark == '+') tt_attach(activity, tt_file(said, "https://example.org/file", NULL));
    tt_json *answer = tt_test_takes(activity), *messages = tt_test_messages(answer);
    bool is_failed = mark != '!' && !tt_is_null(tt_get(answer, "fault"));
    char *texts = is_failed ? "< FAILED\n" : "";
    for (size_t at = 0; at < tt_length(messages); at++) {
        const tt_json *message = tt_at(messages, at);
        const char *to = tt_text(tt_get(tt_get(message, "recipient"), "id"), speaker), *text = tt_text(tt_get(message, "text"), "");
        texts = strcmp(to, speaker) ? tt_format("%s< @%s %s\n", texts, to, text) : tt_format("%s< %s\n", texts, text);
    }
    return texts;
}

int main(int count, char **arguments) {
    path = count > 1 ? arguments[1] : "conversations.txt";
    FILE *file = fopen(path, "r");
    char line[4096];
    const char *answered = "", *expected = "";
    if (!file) return fprintf(stderr, "%s cannot be read\n", path), 2;
    int said_at = 0;
    while (fgets(line, sizeof line, file)) {
        at_line++;
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "< ", 2) || !strcmp(line, "<")) {
            expected = tt_format("%s%s\n", expected, line);
            continue;
        }
        tt_test_expect(path, said_at, answered, expected);
        answered = expected = "";
        char *rest = strchr(line, ' ');
        if (!rest) continue;
        *rest++ = 0;
        if (!strcmp(line, "==")) {
            begin(rest);
        } else if (!strcmp(line, "-")) {
            set(rest);
        } else {
            said_at = at_line;
            answered = answers(line, rest);
        }
    }
    tt_test_expect(path, said_at, answered, expected);
    return tt_test_end();
}
