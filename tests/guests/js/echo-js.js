// The smallest bot in JavaScript, the counterpart of plugins/echo. Benchmarks use it.
import { reply } from "turntable:bot/turn@0.1.0";

export const botHandler = {
  describe() {
    return JSON.stringify({ name: "echo", version: "0.1.0", roles: ["handler"], activities: ["message"] });
  },

  onActivity(meta, text) {
    const activity = JSON.parse(text);
    if (activity.type !== "message") return "next";
    reply(JSON.stringify({ type: "message", text: `Echo: ${activity.text ?? ""}` }));
    return "handled";
  },
};
