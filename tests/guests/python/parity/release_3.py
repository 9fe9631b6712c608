from parity_bot import bot


class Desk(bot(3)):
    pass
