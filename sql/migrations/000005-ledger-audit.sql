-- breaking
-- The check that the books are right.

-- Recomputes every balance from the rows, in the one snapshot of the calling statement. No rows: the books are right.
