-- Each turn writes into these tables. AUTOINCREMENT would write another row each time: the host numbers the outbox itself, and
-- of the others only the order counts. Where marks and ids are, the host knows: indexes of theirs would be another page for each
-- conversation and turn. An id is in `ids` once it was delivered, or could not be; until then in the outbox.
CREATE TABLE outbox_7 (
    sequence INTEGER PRIMARY KEY,
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL,
    service_url TEXT NOT NULL, turn_id TEXT NOT NULL,
    action TEXT NOT NULL, id TEXT NOT NULL, activity TEXT
) STRICT;
INSERT INTO outbox_7 SELECT sequence, bot, channel, conversation, service_url, turn_id, action, id, activity FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_7 RENAME TO outbox;
CREATE INDEX outbox_by_conversation ON outbox (bot, channel, conversation, sequence);

CREATE TABLE ids_7 (
    number INTEGER PRIMARY KEY,
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL,
    host_id TEXT NOT NULL, channel_id TEXT NOT NULL
) STRICT;
INSERT INTO ids_7 SELECT number, bot, channel, conversation, host_id, channel_id FROM ids;
DROP TABLE ids;
ALTER TABLE ids_7 RENAME TO ids;

CREATE TABLE marks_7 (
    number INTEGER PRIMARY KEY,
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL,
    kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
    status INTEGER NOT NULL, answer TEXT
) STRICT;
INSERT INTO marks_7 SELECT number, bot, channel, conversation, kind, id, body, status, answer FROM marks;
DROP TABLE marks;
ALTER TABLE marks_7 RENAME TO marks;
