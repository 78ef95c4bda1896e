"""What each command does, one module per noun; `OPERATIONS` is the table of them all.

An operation is called once its asker was found to be allowed. Of a command of several items it gets
those that are, and gives an answer (or the error as a value) for each, in their order.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.admin.commands import cluster as of_cluster
from app.admin.commands import configs as of_configs
from app.admin.commands import health as of_health
from app.admin.commands import metrics as of_metrics
from app.admin.commands import producers as of_producers
from app.admin.commands import records as of_records
from app.admin.commands import topics as of_topics
from app.admin.operations import (
    cluster,
    configs,
    health,
    metrics,
    producers,
    record_deletions,
    record_reads,
    record_writes,
    topic_changes,
    topics,
)
from app.admin.parts import Parts
from app.admin.port import Command
from app.model import Principal


@dataclass(frozen=True, slots=True)
class Whole:
    """Done or refused as a whole: (parts, asker, command) -> reply."""

    run: Callable[[Parts, Principal, Any], Awaitable[Any]]
    changes: bool = False


@dataclass(frozen=True, slots=True)
class Itemised:
    """Each of the command's `items` is done or refused by itself, and `reply` is made of the
    answers: (parts, asker, command, items) -> answers."""

    items: str
    reply: Callable[[tuple[Any, ...]], Any]
    run: Callable[[Parts, Principal, Any, list[Any]], Awaitable[list[Any]]]
    changes: bool = False


Operation = Whole | Itemised

OPERATIONS: Mapping[type[Command], Operation] = {
    of_topics.ListTopics: Whole(topics.list_topics),
    of_topics.DescribeTopics: Itemised("topics", of_topics.Described, topics.describe_topics),
    of_topics.CreateTopics: Itemised(
        "topics", of_topics.Created, topic_changes.create_topics, changes=True
    ),
    of_topics.DeleteTopics: Itemised(
        "topics", of_topics.Deleted, topic_changes.delete_topics, changes=True
    ),
    of_topics.DeleteTopicsByPrefix: Whole(topic_changes.delete_by_prefix, changes=True),
    of_topics.AddPartitions: Itemised(
        "topics", of_topics.Added, topic_changes.add_partitions, changes=True
    ),
    of_configs.DescribeConfigs: Itemised(
        "resources", of_configs.DescribedConfigs, configs.describe_configs
    ),
    of_configs.AlterConfigs: Itemised(
        "resources", of_configs.AlteredConfigs, configs.alter_configs, changes=True
    ),
    of_configs.ReplaceConfigs: Itemised(
        "resources", of_configs.AlteredConfigs, configs.replace_configs, changes=True
    ),
    of_configs.ListConfigResources: Whole(configs.list_config_resources),
    of_cluster.DescribeCluster: Whole(cluster.describe_cluster),
    of_cluster.DescribeQuorum: Whole(cluster.describe_quorum),
    of_cluster.DescribeLogDirectories: Whole(cluster.describe_log_directories),
    of_producers.DescribeProducers: Itemised(
        "partitions", of_producers.DescribedProducers, producers.describe_producers
    ),
    of_records.WriteRecords: Whole(record_writes.write_records, changes=True),
    of_records.ReadRecords: Whole(record_reads.read_records),
    of_records.DeleteRecords: Itemised(
        "partitions", of_records.DeletedRecords, record_deletions.delete_records, changes=True
    ),
    of_health.CheckHealth: Whole(health.check_health),
    of_metrics.CollectMetrics: Whole(metrics.collect),
}
