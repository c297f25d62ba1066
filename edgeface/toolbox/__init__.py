"""What `import edgeface` gives: faces of still pictures by the daemon's own models and rules."""
