-- Whom a notification is for: in a group, only they answer what it asks. Empty: everybody in the conversation.
ALTER TABLE notifications ADD COLUMN user TEXT NOT NULL DEFAULT '';
