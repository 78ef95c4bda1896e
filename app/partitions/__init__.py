"""Replicas of partitions on this broker: append, read, wait, look up, keep.

Owns    what a broker does with its copy of each partition, between the Kafka port and the WAL.
Never   parses requests or writes replies: `app.kafka` does, through the calls named here.
Trusts  the image of the manifest for what exists, the WAL for what is durable.

Flow of a produce: `replica.Replica.append` -> `core/partition_log.py` admits -> the WAL copies ->
`registry.Registry.on_synced` -> `replies.ReplyQueue` and `waiting.ParkedFetches` are released.
Flow of a fetch: `read.try_read` (or `read.read` where the loop would block) -> `waiting` if short.
"""
