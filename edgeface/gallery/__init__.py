"""The people a device knows: store, index, enrolment, encryption at rest."""
