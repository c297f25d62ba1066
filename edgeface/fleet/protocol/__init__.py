"""The gallery on the wire: records, buckets, manifest, freshness, and what may follow what."""
