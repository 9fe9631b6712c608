-- Who was heard in which conversation: in a group each user is met. `number` is that of `contacts` when the user spoke.
CREATE TABLE contact_users (
    bot TEXT NOT NULL, channel TEXT NOT NULL, conversation TEXT NOT NULL, user TEXT NOT NULL,
    text TEXT NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (bot, channel, conversation, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_users_by_user ON contact_users (bot, channel, user, number);
INSERT INTO contact_users (bot, channel, conversation, user, text, number)
    SELECT bot, channel, conversation, user, text, number FROM contacts WHERE user <> '';
DROP INDEX contacts_by_user;
CREATE INDEX contacts_by_bot ON contacts (bot, number);

-- The first of each conversation is due before the others, and their number is bounded.
DROP INDEX notifications_held;
CREATE INDEX notifications_waiting ON notifications (bot, channel, conversation, held, due_ms, number) WHERE ended IS NULL;
