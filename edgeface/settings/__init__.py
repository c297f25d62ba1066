"""Frozen settings, read from YAML and checked once at the edge."""
