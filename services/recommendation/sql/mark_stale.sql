-- The next scheduled runs have something to do. Locks the row only if it is the first to say so.
update recomputation set runs_due = 2 where runs_due < 2
