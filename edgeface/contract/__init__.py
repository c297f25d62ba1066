"""The MQTT contract: topics, payload types, signature rules, schemas, AsyncAPI."""
