"""One small module per verb; nothing heavy is imported before the verb is known."""
