"""Takes orders, and remembers how many each user has."""

from turntable_sdk import Bot, Dialogue, Manifest, Turn, confirm, number, straight_line, text


@straight_line("order")
async def order(d: Dialogue):
    """The SDK runs the function again from the start after each answer and skips what it has done already."""
    what = await d.ask(text("What would you like?", name="what"))
    count = await d.ask(number("How many?", name="count", integer=True, min=1, retry="A whole number from 1, please."))
    if not await d.ask(confirm(f"{count} × {what}?", name="sure")):
        d.send("Nothing is ordered.")
        return
    orders = d.step("keep", lambda once: once.state.user("orders").update(lambda orders: orders + 1, 0))
    d.send(f"Ordered. You have {orders} order{'' if orders == 1 else 's'}.")


class Shop(Bot):
    manifest = Manifest(activities=["message"], state=["user"])
    dialogs = [order]

    def on_message(self, turn: Turn):
        if turn.spoken_text.lower() == "order":
            turn.dialogs.begin("order")
        else:
            turn.reply("Say «order» to order something.")
