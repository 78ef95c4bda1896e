"""The HTTP face: `/v1`, `/health`, `/metrics`. Knows the port of administration and nothing else of
the broker."""
