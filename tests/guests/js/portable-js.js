// The portable handler in JavaScript. tests/guests/README.md specifies it for all guest languages.
import * as turn from "turntable:bot/turn@0.1.0";
import * as config from "turntable:bot/config@0.1.0";
import * as log from "turntable:bot/log@0.1.0";
import * as state from "turntable:bot/state@0.1.0";
import * as conversations from "turntable:bot/conversations@0.1.0";
import * as dialogs from "turntable:bot/dialogs@0.1.0";

// QuickJS snapshots its random generator when the component is built, so each call reseeds it with the seed of the host.
function reseed(meta) {
  const [, seed] = meta.extra.find(([name]) => name === "random-seed");
  let state = Number.parseInt(seed.slice(0, 8), 16) || 1;
  Math.random = () => {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
}

function setting(name) {
  const text = config.get(name);
  return text === undefined || text === null ? undefined : JSON.parse(text);
}

function message(text, more = {}) {
  return JSON.stringify({ type: "message", text, ...more });
}

function card() {
  const block = { type: "TextBlock", text: setting("greeting") };
  const content = { type: "AdaptiveCard", version: "1.4", body: [block] };
  return message("A card", { attachments: [{ contentType: "application/vnd.microsoft.card.adaptive", content }] });
}

function say(text) {
  turn.reply(message(text));
}

function count() {
  const entry = state.get("conversation", "count");
  const sum = (entry ? JSON.parse(entry.value) : 0) + 1;
  state.set("conversation", "count", JSON.stringify(sum), entry ? entry.etag : "");
  say(String(sum));
}

function stop() {
  const waiting = dialogs.stack().map((frame) => ` ${frame.dialog}:${frame.waitsFor}`).join("");
  say(`stopped ${dialogs.cancelAll()}${waiting}`);
}

const step = (kind, data = null) => ({ kind, state: undefined, data: JSON.stringify(data) });

function ended({ reason, result }) {
  if (reason !== "completed") {
    say("Never mind.");
    return step("cancelled");
  }
  say(`You are ${result}.`);
  return step("done", result);
}

const AGE = {
  kind: "number", prompt: "How old are you?", retry: "A number, please.", integer: true, attempts: 3, validator: "adult",
};

export const dialogHandler = {
  onDialog(meta, event) {
    const data = JSON.parse(event.data);
    switch (event.kind) {
      case "begin":
        return step("prompt", AGE);
      case "resume":
        return ended(data);
      case "validate":
        return data.value >= 18 ? step("accept") : step("reject", { retry: `At least 18, please (${data.attempt}).` });
      case "cancelled":
        say(`cancelled: ${data.reason}`);
        return step("ignored");
      default:
        return step("ignored");
    }
  },
};

export const middleware = {
  onEvent(meta, event) {
    const activity = JSON.parse(event.data);
    const text = activity.text ?? "";
    const replace = (other) => step("replace", { ...activity, text: other });
    if (event.kind === "receive" && text === "secret") return step("stop");
    if (event.kind === "receive" && text === "swap") return replace("swapped");
    if (event.kind === "send" && text.includes("hush")) return step("stop");
    if (event.kind === "send" && text.includes("loud")) return replace(`${text.toUpperCase()}!`);
    return step("pass");
  },
};

export const botHandler = {
  describe() {
    return JSON.stringify({
      name: "portable",
      version: "0.1.0",
      roles: ["handler", "dialogs", "middleware"],
      intercepts: ["receive", "send"],
      activities: ["message", "event"],
      routes: [{ name: "stop", pattern: "stop", after: "none" }],
      dialogs: [{ id: "age", "state-version": 0 }],
      wants: { state: ["conversation", "user"], conversations: true, dialogs: true, middleware: true },
    });
  },

  onActivity(meta, text) {
    reseed(meta);
    const activity = JSON.parse(text);
    if (activity.type === "event" && meta.trigger === "notify") {
      turn.send(message(`${meta.trigger} ${activity.value}`));
      return "handled";
    }
    if (activity.type !== "message") return "next";
    if (meta.trigger === "route:stop") {
      stop();
      return "handled";
    }
    const spoken = activity.text ?? "";
    const [command, note] = [spoken.slice(0, 5), spoken.slice(5)];
    if (command === "note ") {
      state.set("user", "note", JSON.stringify(note), undefined);
      say("noted");
      return "handled";
    }
    switch (activity.text) {
      case "card":
        turn.reply(card());
        break;
      case "fault":
        throw { code: "invalid", message: "asked to fail", retryAfterMs: undefined, detail: undefined };
      case "meta":
        turn.reply(message(
          `${meta.kind} ${meta.trigger} ${meta.channelId} ${meta.locale ?? "none"} ${meta.conversationId}`));
        break;
      case "config": {
        const missing = setting("missing") ?? "none";
        turn.reply(message(`greeting=${setting("greeting")} missing=${missing} keys=${config.keys().join(",")}`));
        break;
      }
      case "log":
        log.write("info", "portable log", [["text", activity.text]]);
        turn.reply(message("logged"));
        break;
      case "next":
        return "next";
      case "twice": {
        const ids = [turn.reply(message("one")), turn.send(message("two"))];
        turn.reply(message(ids.map((id) => id.slice(0, 3)).join(",")));
        break;
      }
      case "recall": {
        const entry = state.get("user", "note");
        say(`note ${entry ? JSON.parse(entry.value) : "none"}`);
        break;
      }
      case "forget":
        state.remove("user", "note", undefined);
        say("forgotten");
        break;
      case "count":
        count();
        break;
      case "later": {
        const here = conversations.reference();
        conversations.notify(here, "when-idle", JSON.stringify({ event: { name: "later", value: "now" } }));
        const age = JSON.stringify({ dialog: "age", options: null });
        const id = conversations.schedule("far", "2999-01-01T00:00:00Z", here, "interrupt", age);
        say(`cancelled ${conversations.cancel(id)}`);
        break;
      }
      case "ask":
        dialogs.begin("age", "null");
        break;
      case "random":
        turn.reply(message(String(Math.random())));
        break;
      default:
        turn.reply(message(`${setting("greeting")}, ${activity.from.name ?? activity.from.id}: ${activity.text}`));
    }
    return "handled";
  },
};
