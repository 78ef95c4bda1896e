"""The `streambus` command."""
