// The handler that every language must pass identically; tests/guests/rust and tests/guests/python hold the others.
import * as turn from "turntable:bot/turn@0.1.0";
import * as config from "turntable:bot/config@0.1.0";
import * as log from "turntable:bot/log@0.1.0";

// QuickJS freezes its random generator when the component is built: reseed it from what the host gives each call.
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

export const botHandler = {
  describe() {
    return JSON.stringify({ name: "portable", version: "0.1.0", activities: ["message"] });
  },

  onActivity(meta, text) {
    reseed(meta);
    const activity = JSON.parse(text);
    if (activity.type !== "message") return "next";
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
      case "random":
        turn.reply(message(String(Math.random())));
        break;
      default:
        turn.reply(message(`${setting("greeting")}, ${activity.from.name ?? activity.from.id}: ${activity.text}`));
    }
    return "handled";
  },
};
