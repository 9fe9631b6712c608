// Uses the whole contract including drafts, which proves that its types are portable to JavaScript.
import * as turn from "turntable:bot/turn@0.1.0";
import * as config from "turntable:bot/config@0.1.0";
import * as log from "turntable:bot/log@0.1.0";
import * as state from "turntable:bot/state@0.1.0";
import * as conversations from "turntable:bot/conversations@0.1.0";
import * as dialogs from "turntable:bot/dialogs@0.1.0";
import * as calls from "turntable:bot/calls@0.1.0";
import * as textStream from "turntable:bot/text-stream@0.1.0";
import * as users from "turntable:bot/users@0.1.0";

const echo = (event, kept) => ({ kind: event.kind, state: kept, data: event.data });

export const botHandler = {
  describe() {
    return JSON.stringify({ name: "surface", version: "0.1.0", roles: ["handler", "dialogs", "middleware", "calls"] });
  },

  onActivity(meta, activity) {
    log.write("info", config.keys().join(","), [["locale", meta.locale ?? ""]]);
    const id = turn.send(activity);
    turn.update(id, activity);
    turn.delete(turn.reply(activity));
    turn.flush();
    turn.respond(200, config.get("body"));
    const etag = state.set("user", "key", "1", state.get("user", "key")?.etag);
    state.remove("user", "key", etag);
    const reference = conversations.reference();
    const notified = conversations.notify(reference, "now", "{}");
    conversations.schedule("reminder", "2027-01-01T00:00:00Z", reference, "when-idle", "{}");
    conversations.cancel(notified);
    dialogs.begin("book", "{}");
    dialogs.replace("book", "{}");
    dialogs.reprompt();
    log.write("debug", String(dialogs.stack().filter((frame) => frame.waitsFor === "message").length), []);
    dialogs.cancelAll();
    calls.act("call", "play", "{}");
    const stream = textStream.open("Looking that up");
    textStream.append(stream, "text");
    textStream.close(stream, activity);
    if (!users.get("graph", undefined)) users.signIn("graph");
    users.exchange("graph");
    users.signOut("graph");
    return "handled";
  },
};

export const dialogHandler = { onDialog: (meta, event, kept) => echo(event, kept) };
export const middleware = { onEvent: (meta, event) => echo(event, undefined) };
export const callHandler = { onCall: (meta, event, kept) => echo(event, kept) };
