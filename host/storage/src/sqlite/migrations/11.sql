-- How often a kept activity ran alone: the others had ended, so only it can have ended the process.
ALTER TABLE kept ADD COLUMN runs_alone INTEGER NOT NULL DEFAULT 0;
