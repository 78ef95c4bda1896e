"""One of each command about a topic, and one of each reply: what tests walk over."""

from collections.abc import Callable

from app.admin.commands import cluster, configs, health, metrics, producers, records, topics
from app.admin.port import Command

Sample = Callable[[str], Command]
"""A command about the topic of that name."""

SAMPLES: dict[type[Command], Sample] = {
    cluster.DescribeCluster: lambda _: cluster.DescribeCluster(operations=True),
    cluster.DescribeQuorum: lambda _: cluster.DescribeQuorum(),
    cluster.DescribeLogDirectories: lambda name: cluster.DescribeLogDirectories(((name, (0,)),)),
    configs.DescribeConfigs: lambda name: configs.DescribeConfigs(
        (configs.ConfigsAsked("topic", name), configs.ConfigsAsked("broker", "1"))
    ),
    configs.AlterConfigs: lambda name: configs.AlterConfigs(
        (
            configs.ConfigsChanged(
                "topic", name, (configs.ConfigChange("retention.ms", "set", "1000"),)
            ),
            configs.ConfigsChanged(
                "broker", "", (configs.ConfigChange("log.retention.ms", "set", "1000"),)
            ),
        )
    ),
    configs.ReplaceConfigs: lambda name: configs.ReplaceConfigs(
        (configs.ConfigsReplaced("topic", name, {"retention.ms": "1000"}),)
    ),
    configs.ListConfigResources: lambda _: configs.ListConfigResources(),
    health.CheckHealth: lambda _: health.CheckHealth(),
    metrics.CollectMetrics: lambda _: metrics.CollectMetrics(),
    producers.DescribeProducers: lambda name: producers.DescribeProducers(
        (producers.PartitionAsked(name, 0),)
    ),
    records.WriteRecords: lambda name: records.WriteRecords(
        name, (records.NewRecord(b"value", b"key", (("name", b"worth"), ("none", None))),)
    ),
    records.ReadRecords: lambda name: records.ReadRecords(name, offset=0),
    records.DeleteRecords: lambda name: records.DeleteRecords((records.RecordsBefore(name, 0, 0),)),
    topics.ListTopics: lambda _: topics.ListTopics(internal=True),
    topics.DescribeTopics: lambda name: topics.DescribeTopics(
        (topics.TopicRef(name),), operations=True
    ),
    topics.CreateTopics: lambda name: topics.CreateTopics(
        (topics.NewTopic(name, -1, -1, {0: (1,)}, {"retention.ms": "1000"}),)
    ),
    topics.DeleteTopics: lambda name: topics.DeleteTopics((topics.TopicRef(name),)),
    topics.DeleteTopicsByPrefix: lambda name: topics.DeleteTopicsByPrefix(
        f"{name.split('.')[0]}.*"
    ),
    topics.AddPartitions: lambda name: topics.AddPartitions((topics.MorePartitions(name, 9),)),
}
