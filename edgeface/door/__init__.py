"""The reference door: when it may open, and the loop that asks."""
