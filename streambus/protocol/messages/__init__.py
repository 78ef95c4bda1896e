"""The messages of the protocol: three by hand because they are hot, the rest by kio's schemas."""
