"""The device's side of the fleet: follow, apply, report."""
