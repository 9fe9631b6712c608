/* What the SDK does for JSON, faults, state and invokes. */
#include <string.h>

#include "turntable_test.h"

static tt_flow on_message(tt_turn *turn) {
    const char *text = tt_turn_text(turn);
    if (!strcmp(text, "next")) return TT_NEXT;
    if (!strcmp(text, "denied")) tt_state(turn, "bot", "n");
    if (!strcmp(text, "forgiven")) {
        tt_state(turn, "bot", "n");
        const char *code = tt_failed(turn);
        tt_forgive(turn);
        tt_reply(turn, code);
    }
    if (!strcmp(text, "count")) {
        double count = tt_double(tt_state(turn, "user", "n"), 0) + 1;
        tt_set_state(turn, "user", "n", tt_number(count));
        tt_reply(turn, tt_format("%.0f", count));
    }
    if (!strcmp(text, "card")) {
        tt_reply_activity(turn, tt_suggest(tt_attach(tt_message("Pick"), tt_adaptive_card(tt_object())), "a"));
    }
    return TT_HANDLED;
}

static tt_flow on_members_added(tt_turn *turn, const tt_json *members) {
    tt_reply(turn, tt_format("Hi %s", tt_text(tt_get(tt_at(members, 0), "id"), "")));
    return TT_HANDLED;
}

static tt_flow on_action(tt_turn *turn, const tt_json *action) {
    if (strcmp(tt_text(tt_get(action, "verb"), ""), "save")) return TT_NEXT;
    tt_respond(turn, 200, tt_string("Saved"));
    return TT_HANDLED;
}

tt_bot turntable_bot = {
    .name = "sdk",
    .state = (const char *const[]){"user", NULL},
    .on_message = on_message,
    .on_members_added = on_members_added,
    .on_adaptive_card_action = on_action,
};

static const char *same(const char *text) { return tt_write(tt_parse(text)); }

static void json(void) {
    const char *whole = "{\"z\":1.50,\"a\":[null,true,{}],\"big\":12345678901234567890,\"half\":\"\\ud83d\",\"t\":\"ü🎉\\n\\u0001\\\"\"}";
    TT_EXPECT(same(whole), whole);
    TT_EXPECT(same("\"\\ud83c\\udf89\""), "\"🎉\"");
    TT_EXPECT(tt_write(tt_number(0.1)), "0.1");
    TT_EXPECT(tt_write(tt_number(-3)), "-3");
    const char *broken[] = {"", "{", "[1,]", "{\"a\" 1}", "\"\\x\"", "01x", "nul", "1 2", "\"\\ud8\"", "\"a"};
    for (size_t at = 0; at < sizeof broken / sizeof *broken; at++) TT_EXPECT(tt_parse(broken[at]) ? broken[at] : "none", "none");
    TT_EXPECT(tt_text(tt_get(tt_at(NULL, 3), "x"), "absent"), "absent");
}

static const char *fault_of(const char *text) {
    return tt_text(tt_get(tt_get(tt_test_takes(tt_message(text)), "fault"), "code"), "none");
}

static const char *pressed(const char *value) {
    tt_json *invoke = tt_set(tt_set(tt_object(), "type", tt_string("invoke")), "name", tt_string("adaptiveCard/action"));
    return tt_write(tt_get(tt_get(tt_test_takes(tt_set(invoke, "value", tt_parse(value))), "response"), "status"));
}

int main(void) {
    json();
    TT_EXPECT(fault_of("denied"), "denied");
    TT_EXPECT(fault_of("next"), "none");
    TT_EXPECT(tt_test_says("forgiven"), "denied");
    TT_EXPECT(tt_test_says("count"), "1");
    TT_EXPECT(tt_test_says("count"), "2");
    tt_test_as("ann", "conversation");
    TT_EXPECT(tt_test_says("count"), "1");
    TT_EXPECT(tt_test_says("card"), "Pick");
    tt_json *joined = tt_set(tt_object(), "type", tt_string("conversationUpdate"));
    tt_set(joined, "membersAdded", tt_parse("[{\"id\":\"bot\"},{\"id\":\"ann\"}]"));
    TT_EXPECT(tt_text(tt_get(tt_at(tt_test_messages(tt_test_takes(joined)), 0), "text"), ""), "Hi ann");
    TT_EXPECT(pressed("{\"action\":{\"type\":\"Action.Execute\",\"verb\":\"save\"}}"), "200");
    TT_EXPECT(pressed("{}"), "400");
    return tt_test_end();
}
