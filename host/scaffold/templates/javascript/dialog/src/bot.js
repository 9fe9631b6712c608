// Takes orders, and remembers how many each user has.
import { confirm, defineBot, dialog, number, text } from "turntable-sdk";

/** The SDK runs the function again from the start after each answer and skips what it has done already. */
const order = dialog("order", async (d) => {
  const what = await d.ask(text("What would you like?", { name: "what" }));
  const count = await d.ask(number("How many?", { name: "count", integer: true, min: 1, retry: "A whole number from 1, please." }));
  if (!(await d.ask(confirm(`${count} × ${what}?`, { name: "sure" })))) {
    d.send("Nothing is ordered.");
    return;
  }
  const orders = await d.step("keep", (once) => once.state.user("orders").update((orders) => orders + 1, 0));
  d.send(`Ordered. You have ${orders} order${orders === 1 ? "" : "s"}.`);
});

export default defineBot({
  manifest: { activities: ["message"], wants: { state: ["user"] } },
  dialogs: [order],

  onMessage(turn) {
    if (turn.spokenText.toLowerCase() === "order") turn.dialogs.begin("order");
    else turn.reply("Say «order» to order something.");
  },
});
