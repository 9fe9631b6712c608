-- Ids are columns of their own and never joined. `channel` is `wire:ID` or `local` (`activity.rs`, ChannelInstance).

CREATE TABLE state (
    bot TEXT NOT NULL, namespace TEXT NOT NULL, scope TEXT NOT NULL,
    channel TEXT NOT NULL, conversation TEXT NOT NULL, user TEXT NOT NULL,
    key TEXT NOT NULL, value TEXT NOT NULL, etag TEXT NOT NULL,
    PRIMARY KEY (bot, namespace, scope, channel, conversation, user, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE stacks (
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (bot, channel, conversation)
) STRICT, WITHOUT ROWID;

-- What is on the stacks, for those who count.
CREATE TABLE frames (
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL, position INTEGER NOT NULL,
    plugin TEXT NOT NULL, dialog TEXT NOT NULL, state_version INTEGER NOT NULL,
    PRIMARY KEY (bot, channel, conversation, position)
) STRICT, WITHOUT ROWID;

-- `action` is `send`, `update` or `delete`; `id` is the host id of a send, and the target of the others.
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL,
    service_url TEXT NOT NULL, turn_id TEXT NOT NULL,
    action TEXT NOT NULL, id TEXT NOT NULL, activity TEXT
) STRICT;
CREATE INDEX outbox_by_conversation ON outbox (bot, channel, conversation, sequence);

CREATE TABLE dead_letters (
    sequence INTEGER PRIMARY KEY,
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL,
    service_url TEXT NOT NULL, turn_id TEXT NOT NULL,
    action TEXT NOT NULL, id TEXT NOT NULL, activity TEXT,
    why TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE ids (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL,
    host_id TEXT NOT NULL, channel_id TEXT NOT NULL,
    UNIQUE (bot, channel, conversation, host_id)
) STRICT;
CREATE INDEX ids_by_channel_id ON ids (bot, channel, conversation, channel_id) WHERE channel_id <> '';

CREATE TABLE marks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL,
    kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
    status INTEGER NOT NULL, answer TEXT,
    UNIQUE (bot, channel, conversation, kind, id, body)
) STRICT;

-- Accepted activities whose callers were told so.
CREATE TABLE kept (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    turn_id TEXT NOT NULL UNIQUE,
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL,
    activity TEXT NOT NULL
) STRICT;
