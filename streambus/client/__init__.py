"""A small asyncio client of the Kafka protocol: what the full client grows from."""
