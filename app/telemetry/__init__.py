"""What the broker says of itself: events (logs), later metrics and traces."""
