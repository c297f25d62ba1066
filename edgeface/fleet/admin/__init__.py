"""The administrator's side of the fleet: master gallery, publishing, enrolling."""
