// Middleware: removes «please» from what users say, and ends every answer with an exclamation mark.
import { defineBot, replaceWith } from "turntable-sdk";

export default defineBot({
  onMessage(turn) {
    turn.reply(`You said: ${turn.text}`);
  },

  onReceive(turn) {
    if (turn.text.startsWith("please ")) return replaceWith({ ...turn.activity, text: turn.text.slice("please ".length) });
  },

  onSend(_, activity) {
    if (activity.text !== undefined) return replaceWith({ ...activity, text: `${activity.text}!` });
  },
});
