// Repeats what the user says.
import { defineBot } from "turntable-sdk";

export default defineBot({
  onMessage(turn) {
    turn.reply(`Echo: ${turn.text}`);
  },
});
