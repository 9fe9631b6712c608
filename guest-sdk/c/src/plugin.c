/* What a component exports: the manifest, the dispatch to handlers, dialogs and middleware. */
#include <string.h>

#include "internal.h"

static tt_json *texts(const char *const *list) {
    tt_json *array = tt_array();
    for (; list && *list; list++) tt_push(array, tt_string(*list));
    return array;
}

static tt_json *routes(const tt_bot *bot) {
    tt_json *routes = tt_array();
    for (const tt_route *known = bot->routes; known && known->name; known++) {
        tt_json *route = tt_set(tt_object(), "name", tt_string(known->name));
        tt_set(route, "pattern", tt_string(known->pattern));
        if (known->score != 0) tt_set(route, "score", tt_number(known->score));
        if (known->order) tt_set(route, "order", tt_int(known->order));
        if (known->confirm) tt_set(route, "confirm", tt_string(known->confirm));
        if (known->after) tt_set(route, "after", tt_string(known->after));
        tt_push(routes, route);
    }
    return routes;
}

static tt_json *dialogs(const tt_bot *bot) {
    tt_json *dialogs = tt_array();
    for (const tt_dialog *const *known = bot->dialogs; known && *known; known++) {
        tt_json *dialog = tt_set(tt_object(), "id", tt_string((*known)->id));
        tt_push(dialogs, tt_set(dialog, "state-version", tt_int((*known)->version)));
    }
    return dialogs;
}

static tt_json *intercepts(const tt_bot *bot) {
    tt_json *events = tt_array();
    if (bot->on_receive) tt_push(events, tt_string("receive"));
    if (bot->on_send) tt_push(events, tt_string("send"));
    if (bot->on_update) tt_push(events, tt_string("update"));
    if (bot->on_delete) tt_push(events, tt_string("delete"));
    if (bot->after_turn) tt_push(events, tt_string("turn-end"));
    return events;
}

const char *tt_describe(void) {
    const tt_bot *bot = &turntable_bot;
    tt_json *manifest = tt_object(), *wants = tt_object(), *roles = tt_push(tt_array(), tt_string("handler"));
    tt_json *owned = dialogs(bot), *hooks = intercepts(bot);
    tt_set(manifest, "name", tt_string(bot->name ? bot->name : "bot"));
    tt_set(manifest, "version", tt_string(bot->version ? bot->version : "0.0.0"));
    if (bot->description) tt_set(manifest, "description", tt_string(bot->description));
    if (tt_length(owned)) tt_push(roles, tt_string("dialogs"));
    if (tt_length(hooks)) tt_push(roles, tt_string("middleware"));
    tt_set(manifest, "roles", roles);
    if (bot->activities) tt_set(manifest, "activities", texts(bot->activities));
    if (bot->routes) tt_set(manifest, "routes", routes(bot));
    if (tt_length(owned)) tt_set(manifest, "dialogs", owned);
    if (tt_length(hooks)) tt_set(manifest, "intercepts", hooks);
    if (bot->uses_dialogs || tt_length(owned)) tt_set(wants, "dialogs", tt_bool(true));
    if (tt_length(hooks)) tt_set(wants, "middleware", tt_bool(true));
    if (bot->state) tt_set(wants, "state", texts(bot->state));
    if (bot->conversations) tt_set(wants, "conversations", tt_bool(true));
    tt_set(manifest, "wants", wants);
    if (bot->settings) tt_set(manifest, "settings", tt_parse(bot->settings));
    return tt_write(manifest);
}

/* --- Handlers. --- */

typedef tt_flow (*handler)(tt_turn *turn);
typedef tt_flow (*list_handler)(tt_turn *turn, const tt_json *list);

static tt_flow simple(handler handle, tt_turn *turn) { return handle ? handle(turn) : TT_NEXT; }

/* Calls a handler with the accounts of a member that are not the bot, or with the reactions of a member. */
static tt_flow listed(list_handler handle, tt_turn *turn, const char *member, bool *is_there) {
    const tt_json *list = tt_get(turn->activity, member);
    const char *bot = tt_text(tt_get(tt_get(turn->activity, "recipient"), "id"), NULL);
    tt_json *others = tt_array();
    for (size_t at = 0; at < tt_length(list); at++) {
        const char *id = tt_text(tt_get(tt_at(list, at), "id"), NULL);
        if (!id || !bot || strcmp(id, bot)) tt_push(others, tt_at(list, at));
    }
    *is_there = tt_length(others) > 0;
    return *is_there && handle ? handle(turn, others) : TT_NEXT;
}

static tt_flow conversation_update(const tt_bot *bot, tt_turn *turn) {
    bool is_there;
    if (simple(bot->on_conversation_update, turn) == TT_HANDLED) return TT_HANDLED;
    tt_flow flow = listed(bot->on_members_added, turn, "membersAdded", &is_there);
    return is_there ? flow : listed(bot->on_members_removed, turn, "membersRemoved", &is_there);
}

static tt_flow message_reaction(const tt_bot *bot, tt_turn *turn) {
    bool is_there;
    if (simple(bot->on_message_reaction, turn) == TT_HANDLED) return TT_HANDLED;
    tt_flow added = listed(bot->on_reactions_added, turn, "reactionsAdded", &is_there);
    tt_flow removed = listed(bot->on_reactions_removed, turn, "reactionsRemoved", &is_there);
    return added == TT_HANDLED ? added : removed;
}

static tt_flow installation_update(const tt_bot *bot, tt_turn *turn) {
    const char *action = tt_text(tt_get(turn->activity, "action"), "");
    if (simple(bot->on_installation_update, turn) == TT_HANDLED) return TT_HANDLED;
    if (!strcmp(action, "add") || !strcmp(action, "add-upgrade")) return simple(bot->on_installation_added, turn);
    if (!strcmp(action, "remove") || !strcmp(action, "remove-upgrade")) return simple(bot->on_installation_removed, turn);
    return TT_NEXT;
}

static tt_flow event(const tt_bot *bot, tt_turn *turn) {
    bool is_token = !strcmp(tt_text(tt_get(turn->activity, "name"), ""), "tokens/response");
    if (simple(bot->on_event, turn) == TT_HANDLED) return TT_HANDLED;
    return is_token && bot->on_token_response ? bot->on_token_response(turn, tt_get(turn->activity, "value")) : TT_NEXT;
}

/* Answers an invoke whose value is wrong. */
static tt_flow wrong(tt_turn *turn, const char *code, const char *message) {
    tt_json *error = tt_set(tt_set(tt_object(), "code", tt_string(code)), "message", tt_string(message));
    tt_json *body = tt_set(tt_object(), "statusCode", tt_int(400));
    tt_respond(turn, 400, tt_set(tt_set(body, "type", tt_string("application/vnd.microsoft.error")), "value", error));
    return TT_HANDLED;
}

static tt_flow card_action(const tt_bot *bot, tt_turn *turn, const tt_json *value) {
    const tt_json *action = tt_get(value, "action");
    if (!tt_is_object(action)) return wrong(turn, "BadRequest", "the value has no object `action`");
    const char *type = tt_text(tt_get(action, "type"), "");
    if (!strcmp(type, "Action.Execute")) return bot->on_adaptive_card_action(turn, action);
    return wrong(turn, "NotSupported", tt_format("the action type `%s` is not supported", type));
}

static tt_flow search(const tt_bot *bot, tt_turn *turn, const tt_json *value) {
    if (!tt_is_object(value)) return wrong(turn, "BadRequest", "the value has no object");
    tt_json *found = tt_copy(value);
    if (!*tt_text(tt_get(value, "kind"), "") && !strcmp(turn->meta.channel_id, "msteams")) {
        tt_set(found, "kind", tt_string("search"));
    }
    if (!*tt_text(tt_get(found, "kind"), "")) return wrong(turn, "BadRequest", "the value has no `kind`");
    if (!*tt_text(tt_get(found, "queryText"), "")) return wrong(turn, "BadRequest", "the value has no `queryText`");
    return bot->on_search(turn, found);
}

static tt_flow invoke(const tt_bot *bot, tt_turn *turn) {
    const char *name = tt_text(tt_get(turn->activity, "name"), "");
    const tt_json *value = tt_get(turn->activity, "value");
    if (simple(bot->on_invoke, turn) == TT_HANDLED) return TT_HANDLED;
    if (!strcmp(name, "adaptiveCard/action") && bot->on_adaptive_card_action) return card_action(bot, turn, value);
    if (!strcmp(name, "application/search") && bot->on_search) return search(bot, turn, value);
    if (!strcmp(name, "signin/verifyState") && bot->on_sign_in_verify) {
        return bot->on_sign_in_verify(turn, tt_text(tt_get(value, "state"), ""));
    }
    if (!strcmp(name, "signin/tokenExchange") && bot->on_sign_in_exchange) return bot->on_sign_in_exchange(turn, value);
    return TT_NEXT;
}

tt_flow tt_dispatch(tt_turn *turn) {
    const tt_bot *bot = &turntable_bot;
    const char *type = tt_text(tt_get(turn->activity, "type"), ""), *trigger = turn->meta.trigger;
    const struct {
        const char *type;
        handler handle;
    } handlers[] = {
        {"message", bot->on_message},         {"messageUpdate", bot->on_message_update},
        {"messageDelete", bot->on_message_delete}, {"endOfConversation", bot->on_end_of_conversation},
        {"typing", bot->on_typing},           {"command", bot->on_command},
        {"commandResult", bot->on_command_result},
    };
    if (!strncmp(trigger, "route:", 6)) {
        return bot->on_route ? bot->on_route(turn, trigger + 6) : simple(bot->on_message, turn);
    }
    for (size_t at = 0; at < sizeof handlers / sizeof *handlers; at++) {
        if (!strcmp(type, handlers[at].type)) return simple(handlers[at].handle, turn);
    }
    if (!strcmp(type, "conversationUpdate")) return conversation_update(bot, turn);
    if (!strcmp(type, "messageReaction")) return message_reaction(bot, turn);
    if (!strcmp(type, "installationUpdate")) return installation_update(bot, turn);
    if (!strcmp(type, "event")) return event(bot, turn);
    if (!strcmp(type, "invoke")) return invoke(bot, turn);
    return simple(bot->on_unrecognized, turn);
}

/* Makes a turn whose faults go to the caller. */
static tt_turn begun(tt_meta meta, tt_json *activity) {
    return (tt_turn){meta, activity, tt_alloc(sizeof(struct tt_internal))};
}

tt_flow tt_on_activity(tt_meta meta, const char *activity, tt_fault *fault) {
    tt_turn turn = begun(meta, tt_parse(activity));
    if (!tt_is_object(turn.activity)) tt_fail(&turn, "invalid", "the activity is not a JSON object");
    tt_flow flow = TT_NEXT;
    if (!tt_failed(&turn)) flow = turntable_bot.on_turn ? turntable_bot.on_turn(&turn) : tt_dispatch(&turn);
    *fault = turn.internal->fault;
    return flow;
}

tt_step tt_on_dialog(tt_meta meta, const char *kind, const char *name, const char *data, const char *state, tt_fault *fault) {
    tt_event_of_dialog event = {kind, name, tt_parse(data)};
    bool is_activity = !strcmp(kind, "continue") && tt_is_object(event.data);
    tt_turn turn = begun(meta, is_activity ? (tt_json *)event.data : tt_object());
    const tt_json *stored = state ? tt_parse(state) : NULL;
    const tt_dialog *const *known = turntable_bot.dialogs;
    while (known && *known && strcmp((*known)->id, name)) known++;
    const tt_dialog *dialog = known ? *known : NULL;
    tt_step step = {0};
    if (!dialog) {
        tt_fail(&turn, "invalid", "there is no dialog `%s`", name);
    } else if (dialog->stages) {
        step = tt_waterfall_event(dialog, &turn, event, stored);
    } else if (dialog->run) {
        step = tt_straight_event(dialog, &turn, event, stored);
    } else if (dialog->on_event) {
        step = dialog->on_event(&turn, event, stored);
    }
    if (!step.kind) tt_fail(&turn, "invalid", "the dialog `%s` returned no step for `%s`", name, kind);
    *fault = turn.internal->fault;
    return step;
}

static tt_passage passed(const tt_bot *bot, tt_turn *turn, const char *kind, tt_json *data) {
    if (!strcmp(kind, "receive") && bot->on_receive) {
        turn->activity = data;
        return bot->on_receive(turn);
    }
    if (!strcmp(kind, "send") && bot->on_send) return bot->on_send(turn, data);
    if (!strcmp(kind, "update") && bot->on_update) return bot->on_update(turn, data);
    if (!strcmp(kind, "delete") && bot->on_delete) return bot->on_delete(turn, tt_text(tt_get(data, "id"), ""));
    if (!strcmp(kind, "turn-end") && bot->after_turn) {
        bot->after_turn(turn, tt_text(tt_get(data, "outcome"), ""));
        return TT_PASS;
    }
    return (tt_passage){"ignored", NULL};
}

tt_step tt_on_event(tt_meta meta, const char *kind, const char *name, const char *data, tt_fault *fault) {
    meta.extra = tt_set(meta.extra, "sender", tt_string(name));
    tt_turn turn = begun(meta, tt_set(tt_object(), "type", tt_string(meta.kind)));
    tt_passage passage = passed(&turntable_bot, &turn, kind, tt_parse(data));
    *fault = turn.internal->fault;
    return (tt_step){passage.kind ? passage.kind : "pass", passage.activity, NULL};
}
