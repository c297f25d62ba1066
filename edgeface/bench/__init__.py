"""Speed, memory, latency and sync, measured against something run beside it."""
