"""edgeface: face recognition at the door, on the device, with events a door can trust."""

__version__ = "0.1.0"
