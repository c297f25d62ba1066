"""One gallery for many devices: signed, encrypted, erasable, on a broker's retained messages.

`docs/gallery-protocol.md` specifies what is on the wire.
"""
