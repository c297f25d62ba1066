"""The demo: a private broker, the daemon and the reference door, each a process of its own."""
