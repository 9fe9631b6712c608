-- Everything is in the schema `turntable` and every name is qualified, because a connection pooler keeps no search path.
--
-- Ids of outsiders may have 1,024 bytes each, and an index row of PostgreSQL has 2,704 at most. Therefore `place` is the SHA-256 of
-- bot, channel and conversation, `person` that of bot, channel and user, `scope` that of a scope of state, and `key` of `marks`
-- that of a deduplication key. The readable columns stand beside them. Texts compare by bytes (COLLATE "C").

-- One number for all tables whose rows have an order.
CREATE SEQUENCE turntable.numbers;
-- Fences of leases rise even where an expired lease was deleted.
CREATE SEQUENCE turntable.fences;

-- The hosts that use the database. A host that has not renewed `expires` is dead, and so is one whose `process` has ended on its
-- machine. The host that notices deletes the row. Every transaction that writes locks the row of its host, so a host without a row writes nothing.
CREATE TABLE turntable.hosts (
    id text COLLATE "C" PRIMARY KEY, name text NOT NULL, version text NOT NULL, process text NOT NULL,
    started timestamptz NOT NULL DEFAULT clock_timestamp(), expires timestamptz NOT NULL, beats bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Who runs the turns of a conversation. `last_commit` names the last commit under the fence, so that a host whose connection broke
-- during COMMIT learns whether the commit happened.
CREATE TABLE turntable.leases (
    place bytea PRIMARY KEY, owner text NOT NULL, host text COLLATE "C" NOT NULL,
    fence bigint NOT NULL, expires timestamptz NOT NULL, last_commit text NOT NULL DEFAULT ''
) WITH (fillfactor = 50);
CREATE INDEX leases_by_expiry ON turntable.leases (expires);

CREATE TABLE turntable.state (
    scope bytea NOT NULL, key text COLLATE "C" NOT NULL,
    bot text NOT NULL, namespace text NOT NULL, kind text NOT NULL,
    channel text NOT NULL, conversation text NOT NULL, person_id text NOT NULL,
    place bytea, person bytea, value text NOT NULL, etag text NOT NULL,
    PRIMARY KEY (scope, key)
) WITH (fillfactor = 70);
CREATE INDEX state_by_place ON turntable.state (place) WHERE place IS NOT NULL;
CREATE INDEX state_by_person ON turntable.state (person) WHERE person IS NOT NULL;

CREATE TABLE turntable.stacks (
    place bytea PRIMARY KEY, bot text NOT NULL, channel text NOT NULL, conversation text NOT NULL, stack text NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE turntable.frames (
    place bytea NOT NULL, position bigint NOT NULL, bot text COLLATE "C" NOT NULL, channel text NOT NULL, conversation text NOT NULL,
    plugin text COLLATE "C" NOT NULL, dialog text COLLATE "C" NOT NULL, state_version bigint NOT NULL,
    PRIMARY KEY (place, position)
);
CREATE INDEX frames_by_bot ON turntable.frames (bot);

-- `action` is `send`, `update` or `delete`; `id` is the host id of a send, and the target of the others.
CREATE TABLE turntable.outbox (
    sequence bigint PRIMARY KEY DEFAULT nextval('turntable.numbers'), place bytea NOT NULL,
    bot text NOT NULL, channel text NOT NULL, conversation text NOT NULL,
    service_url text NOT NULL, turn_id text COLLATE "C" NOT NULL, action text NOT NULL, id text COLLATE "C" NOT NULL, activity text
);
CREATE INDEX outbox_by_place ON turntable.outbox (place, sequence);

CREATE TABLE turntable.dead_letters (
    sequence bigint PRIMARY KEY, place bytea NOT NULL,
    bot text COLLATE "C" NOT NULL, channel text NOT NULL, conversation text NOT NULL,
    service_url text NOT NULL, turn_id text NOT NULL, action text NOT NULL, id text NOT NULL, activity text,
    why text NOT NULL, at_ms bigint NOT NULL
);
CREATE INDEX dead_letters_by_bot ON turntable.dead_letters (bot, sequence);
CREATE INDEX dead_letters_by_place ON turntable.dead_letters (place);

-- An id is here once its activity was delivered, or could not be; until then it is in the outbox.
CREATE TABLE turntable.ids (
    number bigint PRIMARY KEY DEFAULT nextval('turntable.numbers'), place bytea NOT NULL,
    host_id text COLLATE "C" NOT NULL, channel_id text COLLATE "C" NOT NULL,
    UNIQUE (place, host_id)
);
CREATE INDEX ids_by_channel_id ON turntable.ids (place, left(channel_id, 600)) WHERE channel_id <> '';

-- Deduplication records: processed activities and their answers.
CREATE TABLE turntable.records (
    number bigint NOT NULL DEFAULT nextval('turntable.numbers'), key bytea PRIMARY KEY, place bytea NOT NULL,
    status bigint NOT NULL, answer text, turn_id text NOT NULL
);
CREATE INDEX records_by_number ON turntable.records (number);
CREATE INDEX records_by_place ON turntable.records (place);

-- Accepted activities whose callers were told so.
CREATE TABLE turntable.inbox (
    number bigint NOT NULL DEFAULT nextval('turntable.numbers'), turn_id text COLLATE "C" PRIMARY KEY, place bytea NOT NULL,
    bot text NOT NULL, channel text NOT NULL, conversation text NOT NULL,
    activity text NOT NULL, starts bigint NOT NULL DEFAULT 0, runs_alone bigint NOT NULL DEFAULT 0
);

-- Known conversations. `number` grows with each change, and is the place of a page.
CREATE TABLE turntable.contacts (
    place bytea PRIMARY KEY, number bigint NOT NULL DEFAULT nextval('turntable.numbers'),
    bot text COLLATE "C" NOT NULL, channel text COLLATE "C" NOT NULL, conversation text NOT NULL,
    person_id text NOT NULL, reference text NOT NULL, seen_ms bigint NOT NULL, gone text
);
CREATE INDEX contacts_by_bot ON turntable.contacts (bot, number);

-- Who was heard in which conversation. `number` is that of `contacts` when the user spoke.
CREATE TABLE turntable.contact_users (
    place bytea NOT NULL, person_id text COLLATE "C" NOT NULL, person bytea NOT NULL,
    reference text NOT NULL, number bigint NOT NULL,
    PRIMARY KEY (place, person_id)
);
CREATE INDEX contact_users_by_person ON turntable.contact_users (person, number);

-- What conversations get without having said anything. `ended` is NULL while it waits; `held` where a dialog waits first.
CREATE TABLE turntable.notifications (
    number bigint NOT NULL DEFAULT nextval('turntable.numbers'), id text COLLATE "C" PRIMARY KEY, place bytea NOT NULL,
    bot text COLLATE "C" NOT NULL, channel text NOT NULL, conversation text NOT NULL,
    sender text NOT NULL, name text NOT NULL, mode text NOT NULL, content text NOT NULL,
    depth bigint NOT NULL, due_ms bigint NOT NULL, cron text, expires_ms bigint,
    key text COLLATE "C", body bytea, person_id text NOT NULL DEFAULT '',
    held boolean NOT NULL DEFAULT false, ended text, ended_ms bigint
);
CREATE INDEX notifications_due ON turntable.notifications (due_ms, number) WHERE ended IS NULL AND NOT held;
CREATE INDEX notifications_waiting ON turntable.notifications (place, held, due_ms, number) WHERE ended IS NULL;
CREATE INDEX notifications_by_place ON turntable.notifications (place);
CREATE INDEX notifications_by_bot ON turntable.notifications (bot, due_ms, number) WHERE ended IS NULL;
CREATE UNIQUE INDEX notifications_by_key ON turntable.notifications (bot, key) WHERE key IS NOT NULL;
CREATE INDEX notifications_ended ON turntable.notifications (ended_ms) WHERE ended IS NOT NULL;

-- What was said, for bots that keep transcripts. `person_id` said it, or got it; `host_id` is that of what the bot sent.
CREATE TABLE turntable.transcript_items (
    number bigint PRIMARY KEY DEFAULT nextval('turntable.numbers'), place bytea NOT NULL,
    at_ms bigint NOT NULL, person_id text NOT NULL, host_id text COLLATE "C" NOT NULL, channel_id text NOT NULL DEFAULT '',
    activity text NOT NULL
);
CREATE INDEX transcript_items_by_place ON turntable.transcript_items (place, number);
CREATE UNIQUE INDEX transcript_items_by_host_id ON turntable.transcript_items (host_id) WHERE host_id <> '';

CREATE TABLE turntable.transcripts (
    place bytea PRIMARY KEY, number bigint NOT NULL DEFAULT nextval('turntable.numbers'),
    bot text COLLATE "C" NOT NULL, channel text NOT NULL, conversation text NOT NULL,
    first_ms bigint NOT NULL, last_ms bigint NOT NULL, activities bigint NOT NULL, bytes bigint NOT NULL
);
CREATE INDEX transcripts_by_number ON turntable.transcripts (bot, number);
CREATE INDEX transcripts_by_age ON turntable.transcripts (bot, first_ms);

-- Who said or got something in a transcript, so that a user can be forgotten.
CREATE TABLE turntable.transcript_users (
    place bytea NOT NULL, person_id text COLLATE "C" NOT NULL, person bytea NOT NULL, conversation text NOT NULL,
    PRIMARY KEY (place, person_id)
);
CREATE INDEX transcript_users_by_person ON turntable.transcript_users (person);

-- One content for many conversations. `place_begun` is the target that began last, `place_last` the last of all.
CREATE TABLE turntable.broadcasts (
    number bigint PRIMARY KEY DEFAULT nextval('turntable.numbers'), id text COLLATE "C" NOT NULL UNIQUE, bot text COLLATE "C" NOT NULL,
    mode text NOT NULL, content text NOT NULL, expires_ms bigint, per_second bigint NOT NULL,
    key text COLLATE "C", body bytea, state text NOT NULL,
    created_ms bigint NOT NULL, started_ms bigint, ended_ms bigint,
    place_begun bigint NOT NULL DEFAULT 0, place_last bigint NOT NULL DEFAULT 0, total bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0, stopped bigint NOT NULL DEFAULT 0, expired bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0, gone bigint NOT NULL DEFAULT 0, unknown bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX broadcasts_by_key ON turntable.broadcasts (bot, key) WHERE key IS NOT NULL;
CREATE INDEX broadcasts_by_bot ON turntable.broadcasts (bot, number);

-- Whom they have yet to reach, and whom they did not: a delivered target is deleted. `turn` is set from the commit of its turn until
-- the channel took its `sends` rows of the outbox.
CREATE TABLE turntable.broadcast_targets (
    broadcast bigint NOT NULL, target bigint NOT NULL, place bytea NOT NULL,
    channel text NOT NULL, conversation text NOT NULL, person_id text COLLATE "C" NOT NULL,
    outcome text, why text, turn text COLLATE "C", sends bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (broadcast, target)
);
CREATE UNIQUE INDEX broadcast_targets_by_place ON turntable.broadcast_targets (place, person_id, broadcast);
CREATE INDEX broadcast_targets_by_turn ON turntable.broadcast_targets (turn) WHERE turn IS NOT NULL;
CREATE INDEX broadcast_targets_ended ON turntable.broadcast_targets (broadcast, target) WHERE outcome IS NOT NULL;

-- Origins that may get a token of a bot, because a channel's token named them.
CREATE TABLE turntable.proofs (
    number bigint NOT NULL DEFAULT nextval('turntable.numbers'), key bytea PRIMARY KEY,
    bot text NOT NULL, app_id text NOT NULL, channel text NOT NULL, origin text NOT NULL
);

-- Milliseconds since 1970 by the clock of the database.
CREATE FUNCTION turntable.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT floor(extract(epoch FROM pg_catalog.clock_timestamp()) * 1000)::bigint $$;

-- Ends the transaction with an error of ours unless a condition holds.
CREATE FUNCTION turntable.must(condition boolean, code text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NOT condition THEN
        RAISE EXCEPTION 'refused' USING ERRCODE = code;
    END IF;
    RETURN true;
END $$;

-- Begins a transaction of a host. It fails if another host has declared the host dead, and nobody can declare it dead before
-- the transaction ends.
CREATE FUNCTION turntable.enter(host text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM turntable.hosts WHERE id = host FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the host has lost the store' USING ERRCODE = 'TT001';
    END IF;
END $$;

-- Ends a broadcast whose targets have all ended. What it said is kept no longer than it takes to say it.
CREATE FUNCTION turntable.end_broadcast(which bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
    UPDATE turntable.broadcasts SET state = 'done', ended_ms = turntable.now_ms(), content = '{}' WHERE number = which
    AND state IN ('running', 'paused') AND total = delivered + stopped + expired + failed + gone + unknown + cancelled
$$;

-- Ends a target, once. Of a target that was cancelled while its turn ran, what the turn made of it counts.
CREATE FUNCTION turntable.settle(which bigint, its_target bigint, how text, reason text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    before text;
BEGIN
    SELECT outcome INTO before FROM turntable.broadcast_targets WHERE broadcast = which AND target = its_target FOR UPDATE;
    IF NOT FOUND OR (before IS NOT NULL AND (before <> 'cancelled' OR how = 'cancelled')) THEN
        RETURN;
    END IF;
    IF how = 'delivered' THEN
        DELETE FROM turntable.broadcast_targets WHERE broadcast = which AND target = its_target;
    ELSE
        UPDATE turntable.broadcast_targets SET outcome = how, why = reason, turn = NULL
        WHERE broadcast = which AND target = its_target;
    END IF;
    UPDATE turntable.broadcasts SET
        delivered = delivered + (how = 'delivered')::int, stopped = stopped + (how = 'stopped')::int,
        expired = expired + (how = 'expired')::int, failed = failed + (how = 'failed')::int,
        gone = gone + (how = 'gone')::int, unknown = unknown + (how = 'unknown')::int,
        cancelled = cancelled + (how = 'cancelled')::int - (before IS NOT NULL)::int
    WHERE number = which;
    PERFORM turntable.end_broadcast(which);
END $$;

-- Ends the target that a notification `ID-TARGET` stands for.
CREATE FUNCTION turntable.settle_notified(broadcast_id text, its_target bigint, how text, reason text) RETURNS void
LANGUAGE sql VOLATILE AS $$
    SELECT turntable.settle(number, its_target, how, reason) FROM turntable.broadcasts WHERE id = broadcast_id
$$;

-- A turn about a target was delivered to the conversation: the target ends with the last row that the turn sent.
CREATE FUNCTION turntable.note_turn(broadcast_id text, its_target bigint, its_place bytea, its_turn text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    which bigint;
    rows_left bigint;
BEGIN
    SELECT number INTO which FROM turntable.broadcasts WHERE id = broadcast_id;
    SELECT count(*) INTO rows_left FROM turntable.outbox WHERE place = its_place AND turn_id = its_turn;
    UPDATE turntable.broadcast_targets SET turn = its_turn, sends = rows_left WHERE broadcast = which AND target = its_target;
    IF rows_left = 0 THEN
        PERFORM turntable.settle(which, its_target, 'delivered', NULL);
    END IF;
END $$;

-- The delivery of a row of a turn about a target has ended.
CREATE FUNCTION turntable.note_row(its_turn text, how text, reason text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    found turntable.broadcast_targets;
BEGIN
    SELECT * INTO found FROM turntable.broadcast_targets WHERE turn = its_turn FOR UPDATE;
    IF found.broadcast IS NULL THEN
        RETURN;
    END IF;
    IF how = 'delivered' AND found.sends > 1 THEN
        UPDATE turntable.broadcast_targets SET sends = sends - 1 WHERE broadcast = found.broadcast AND target = found.target;
    ELSE
        PERFORM turntable.settle(found.broadcast, found.target, how, reason);
    END IF;
END $$;

-- Forgets targets of a conversation or of a user. Those that had not ended count as unknown. Returns how many there were.
CREATE FUNCTION turntable.forget_targets(its_place bytea, whose text) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    found record;
    forgotten bigint;
BEGIN
    FOR found IN SELECT broadcast, target FROM turntable.broadcast_targets WHERE place = its_place AND person_id = whose LOOP
        PERFORM turntable.settle(found.broadcast, found.target, 'unknown', NULL);
    END LOOP;
    DELETE FROM turntable.broadcast_targets WHERE place = its_place AND person_id = whose;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;
