-- The conversations that bots have met. `number` grows with each change, and is the place of a page.
CREATE TABLE contacts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL,
    user TEXT NOT NULL, text TEXT NOT NULL, seen_ms INTEGER NOT NULL, gone TEXT,
    UNIQUE (bot, channel, conversation)
) STRICT;
CREATE INDEX contacts_by_user ON contacts (bot, channel, user, number);

-- What conversations get without having said anything. `ended` is NULL while it waits; `held` where a dialog waits first.
CREATE TABLE notifications (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL,
    sender TEXT NOT NULL, name TEXT NOT NULL, mode TEXT NOT NULL, content TEXT NOT NULL,
    depth INTEGER NOT NULL, due_ms INTEGER NOT NULL, cron TEXT, expires_ms INTEGER,
    key TEXT, body BLOB, held INTEGER NOT NULL DEFAULT 0, ended TEXT, ended_ms INTEGER
) STRICT;
CREATE INDEX notifications_due ON notifications (due_ms, number) WHERE ended IS NULL AND held = 0;
CREATE INDEX notifications_held ON notifications (bot, channel, conversation, number) WHERE ended IS NULL AND held = 1;
CREATE INDEX notifications_by_conversation ON notifications (bot, channel, conversation);
CREATE UNIQUE INDEX notifications_by_key ON notifications (bot, key) WHERE key IS NOT NULL;
CREATE INDEX notifications_ended ON notifications (ended_ms) WHERE ended IS NOT NULL;
