"""What a user would take instead of this project, measured beside it."""
