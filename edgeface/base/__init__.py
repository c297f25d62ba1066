"""The ground floor: errors, clock, files, back-off, ids, messages; standard library only."""
