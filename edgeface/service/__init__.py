"""The daemon: composition, supervised workers, health."""
