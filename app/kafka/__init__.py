"""The Kafka face of the broker: connections, the routing table and one module per API."""
