"""Pure functions and values: from faces to decisions. No I/O, no clock, no threads."""
