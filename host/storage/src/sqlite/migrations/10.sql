-- Origins that may get a token of a bot, because a channel's token named them.
CREATE TABLE IF NOT EXISTS proofs (
    number INTEGER PRIMARY KEY,
    bot TEXT NOT NULL,
    app_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    origin TEXT NOT NULL,
    UNIQUE (bot, app_id, channel, origin)
) STRICT;
