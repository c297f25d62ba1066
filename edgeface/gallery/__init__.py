"""The people a device knows: store, index, enrollment, encryption at rest."""
