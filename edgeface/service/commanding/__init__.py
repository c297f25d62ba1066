"""What the daemon does on a command: one small module a verb or family of verbs."""
