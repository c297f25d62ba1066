"""Events on disk until they are acknowledged."""
