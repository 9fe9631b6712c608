from parity_bot import bot


class Desk(bot(1)):
    pass
