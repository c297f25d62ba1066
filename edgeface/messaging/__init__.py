"""MQTT: the session, the outbox, the event contract."""
