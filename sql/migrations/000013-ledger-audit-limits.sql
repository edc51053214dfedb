-- breaking
-- The check that the books are right, now of limits and corrections too.

-- Recomputes every balance from the rows, in the one snapshot of the calling statement. No rows: the books are right.
