-- One content for many conversations. `place` is that of the last target that began, `last_place` that of the last of all.
CREATE TABLE broadcasts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, bot TEXT NOT NULL,
    mode TEXT NOT NULL, content TEXT NOT NULL, expires_ms INTEGER, per_second INTEGER NOT NULL,
    key TEXT, body BLOB, state TEXT NOT NULL,
    created_ms INTEGER NOT NULL, started_ms INTEGER, ended_ms INTEGER,
    place INTEGER NOT NULL DEFAULT 0, last_place INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0, stopped INTEGER NOT NULL DEFAULT 0, expired INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0, gone INTEGER NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX broadcasts_by_key ON broadcasts (bot, key) WHERE key IS NOT NULL;
CREATE INDEX broadcasts_by_bot ON broadcasts (bot, number);

-- Whom they have yet to reach, and whom they did not: a delivered target is deleted. `turn` is set from the commit of its
-- turn until the channel took its `sends` rows of the outbox.
CREATE TABLE broadcast_targets (
    broadcast INTEGER NOT NULL, place INTEGER NOT NULL,
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL, user TEXT NOT NULL,
    outcome TEXT, why TEXT, turn TEXT, sends INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (broadcast, place)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX broadcast_targets_by_conversation ON broadcast_targets (bot, channel, conversation, user, broadcast);
CREATE INDEX broadcast_targets_by_turn ON broadcast_targets (turn) WHERE turn IS NOT NULL;
CREATE INDEX broadcast_targets_ended ON broadcast_targets (broadcast, place) WHERE outcome IS NOT NULL;
