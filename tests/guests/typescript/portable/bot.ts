// The portable handler with the SDK. tests/guests/README.md specifies it for all guest languages.
import {
  Bot,
  Fault,
  accept,
  adaptiveCard,
  always,
  deliver,
  message,
  number,
  reject,
  replaceWith,
  stop,
  waterfall,
  type Activity,
  type Manifest,
  type Turn,
} from "turntable-sdk";

const age = waterfall(
  "age",
  [
    (step) =>
      step.prompt(
        number("How old are you?", { retry: "A number, please.", integer: true, attempts: 3, validator: "adult" }),
      ),
    always((step) => {
      if (step.outcome.reason !== "completed") {
        step.reply("Never mind.");
        return step.cancel();
      }
      step.reply(`You are ${step.result}.`);
      return step.done(step.result);
    }),
  ],
  {
    validators: {
      adult: ({ value, attempt }) => (value >= 18 ? accept() : reject(`At least 18, please (${attempt}).`)),
    },
    onCancelled: (turn, reason) => turn.reply(`cancelled: ${reason}`),
  },
);

export default class Portable extends Bot {
  manifest: Manifest = {
    activities: ["message", "event"],
    routes: [{ name: "stop", pattern: "stop", after: "none" }],
    wants: { state: ["conversation", "user"], conversations: true },
  };

  dialogs = [age];

  onEvent(turn: Turn) {
    if (turn.meta.trigger !== "notify") return "next";
    turn.send(`${turn.meta.trigger} ${turn.value}`);
    return "handled";
  }

  onRoute(turn: Turn) {
    const waiting = turn.dialogs
      .frames()
      .map((frame) => ` ${frame.dialog}:${frame.waitsFor}`)
      .join("");
    turn.reply(`stopped ${turn.dialogs.cancelAll()}${waiting}`);
  }

  async onMessage(turn: Turn) {
    const { meta, text } = turn;
    switch (text) {
      case "card":
        turn.reply(
          message("A card", {
            attachments: [
              adaptiveCard({
                type: "AdaptiveCard",
                version: "1.4",
                body: [{ type: "TextBlock", text: turn.config("greeting") }],
              }),
            ],
          }),
        );
        break;
      case "fault":
        throw Fault.invalid("asked to fail");
      case "meta":
        turn.reply(`${meta.kind} ${meta.trigger} ${meta.channelId} ${meta.locale ?? "none"} ${meta.conversationId}`);
        break;
      case "config":
        turn.reply(
          `greeting=${turn.config("greeting")} missing=${turn.config("missing", "none")} keys=${turn.configKeys().join(",")}`,
        );
        break;
      case "log":
        turn.log.info("portable log", { text });
        turn.reply("logged");
        break;
      case "next":
        return "next" as const;
      case "twice": {
        const ids = [turn.reply("one"), turn.send("two")];
        turn.reply(ids.map((id) => id.slice(0, 3)).join(","));
        break;
      }
      case "recall":
        turn.reply(`note ${turn.state.user("note").get("none")}`);
        break;
      case "forget":
        turn.state.user("note").remove();
        turn.reply("forgotten");
        break;
      case "count":
        turn.reply(String(turn.state.conversation<number>("count").update((count) => count + 1, 0)));
        break;
      case "later": {
        const here = turn.conversations.reference();
        turn.conversations.notify(here, "when-idle", deliver.event("later", "now"));
        const id = turn.conversations.schedule("far", new Date("2999-01-01"), here, "interrupt", deliver.dialog("age"));
        turn.reply(`cancelled ${turn.conversations.cancel(id)}`);
        break;
      }
      case "ask":
        turn.dialogs.begin("age");
        break;
      case "random":
        turn.reply(String(Math.random()));
        break;
      default:
        await this.other(turn);
    }
    return "handled" as const;
  }

  /** Answers what only the host of the tests of this SDK says, and everything else. */
  private async other(turn: Turn) {
    const { text } = turn;
    const from = turn.activity.from!;
    if (text.startsWith("note ")) {
      turn.state.user("note").overwrite(text.slice("note ".length));
      turn.reply("noted");
    } else {
      turn.reply(`${turn.config("greeting")}, ${from.name ?? from.id}: ${text}`);
    }
  }

  onReceive(turn: Turn) {
    if (turn.text === "secret") return stop();
    return turn.text === "swap" ? replaceWith({ ...turn.activity, text: "swapped" }) : undefined;
  }

  onSend(_: Turn, activity: Activity) {
    const text = activity.text ?? "";
    if (text.includes("hush")) return stop();
    return text.includes("loud") ? replaceWith({ ...activity, text: `${text.toUpperCase()}!` }) : undefined;
  }
}
