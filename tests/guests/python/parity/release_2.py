from parity_bot import bot


class Desk(bot(2)):
    pass
