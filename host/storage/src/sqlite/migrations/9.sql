-- Which turn answered: a redelivery names it. Empty for what an earlier version of the host wrote.
ALTER TABLE marks ADD COLUMN turn_id TEXT NOT NULL DEFAULT '';
