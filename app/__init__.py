"""The broker: everything behind the Kafka port (what users import lives in `streambus`)."""
