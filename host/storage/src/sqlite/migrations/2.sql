-- How many starts have run a kept activity: one that kills the host must not do so for ever.
ALTER TABLE kept ADD COLUMN starts INTEGER NOT NULL DEFAULT 0;
