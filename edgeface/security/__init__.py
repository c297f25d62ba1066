"""Keys, signatures, sealing, TLS, certificates and roles."""
