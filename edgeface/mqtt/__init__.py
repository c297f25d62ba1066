"""One client over paho, and the publisher of the daemon that uses it."""
