"""Signed enrolment records and manifests for many devices."""
