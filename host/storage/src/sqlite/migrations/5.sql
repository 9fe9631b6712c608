-- What was said, for bots that keep transcripts. `user` said it, or got it; `host_id` is that of what the bot sent.
CREATE TABLE transcript_items (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL,
    at_ms INTEGER NOT NULL, user TEXT NOT NULL, host_id TEXT NOT NULL, channel_id TEXT NOT NULL DEFAULT '',
    activity TEXT NOT NULL
) STRICT;
CREATE INDEX transcript_items_by_conversation ON transcript_items (bot, channel, conversation, number);
CREATE UNIQUE INDEX transcript_items_by_host_id ON transcript_items (host_id) WHERE host_id <> '';

-- One row for each conversation with items. `number` is the place of a page.
CREATE TABLE transcripts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL,
    first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, activities INTEGER NOT NULL, bytes INTEGER NOT NULL,
    UNIQUE (bot, channel, conversation)
) STRICT;
CREATE INDEX transcripts_by_place ON transcripts (bot, number);
CREATE INDEX transcripts_by_age ON transcripts (bot, first_ms);

-- Who said or got something in a transcript, so that a user can be forgotten.
CREATE TABLE transcript_users (
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL, user TEXT NOT NULL,
    PRIMARY KEY (bot, channel, conversation, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX transcript_users_by_user ON transcript_users (bot, channel, user);
