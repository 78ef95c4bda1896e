"""The controller: decides one thing at a time, and answers when it counts."""

import asyncio
from collections import Counter

import pytest

from app import limits
from app.core.manifest import entries
from app.core.manifest.config_changes import ConfigChange, ConfigsChanged, ConfigsReplaced
from app.core.manifest.decide import ControllerDefaults, MorePartitions, NewTopic
from app.core.manifest.image import Topic
from app.errors import (
    InvalidConfig,
    InvalidPartitions,
    InvalidRequest,
    InvalidTopic,
    PolicyViolation,
    RequestTimedOut,
    StreamBusError,
    TopicAlreadyExists,
    UnknownTopicId,
    UnknownTopicOrPartition,
)
from app.model import NO_TOPIC_ID, BrokerId, TopicId
from app.raft.controller import Controller, CreatedTopic
from app.raft.single_node import SingleNode
from tests.contract.places import Everywhere, Place, everywhere
from tests.unit.raft.brokers import PLAIN, controller

__all__ = ["everywhere"]


def kinds(answers: list[CreatedTopic | StreamBusError]) -> list[type]:
    return [type(answer) for answer in answers]


def test_a_created_topic_is_in_the_image_before_the_reply(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)

        async def create(name: str) -> None:
            (answer,) = await broker.create_topics([NewTopic(name, 3)])
            assert isinstance(answer, CreatedTopic)
            topic = broker.image.topics_by_name[name]
            assert answer == CreatedTopic(name, topic.topic_id, 3, 1, {})

        await asyncio.gather(*(create(f"t{n}") for n in range(20)))
        await broker.close()

    everywhere(scenario)


def test_the_same_topic_asked_for_at_once_is_made_once(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        answers = await asyncio.gather(*(broker.create_topics([NewTopic("a")]) for _ in range(9)))
        assert Counter(kinds([one for (one,) in answers])) == {
            CreatedTopic: 1,
            TopicAlreadyExists: 8,
        }
        topics = await asyncio.gather(*(broker.ensure_topic("b") for _ in range(9)))
        assert len({topic.topic_id for topic in topics}) == 1
        await broker.close()

    everywhere(scenario)


def test_answers_come_in_the_order_of_the_topics_asked_for(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        asked = [NewTopic("a"), NewTopic("no/slash"), NewTopic("b"), NewTopic("b"), NewTopic("c")]
        answers = await broker.create_topics(asked)
        assert kinds(answers) == [
            CreatedTopic,
            InvalidTopic,
            InvalidRequest,
            InvalidRequest,
            CreatedTopic,
        ]
        assert set(broker.image.topics_by_name) == {"a", "c"}
        assert await broker.create_topics([]) == []
        await broker.close()

    everywhere(scenario)


def test_topics_of_one_request_share_proposals_as_far_as_an_entry_has_room(
    everywhere: Everywhere,
) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        before = broker.image.index
        answers = await broker.create_topics([NewTopic(f"t{n}") for n in range(100)])
        assert set(kinds(answers)) == {CreatedTopic}
        assert broker.image.index == before + 1
        many = [NewTopic(f"{'x' * 200}{n}") for n in range(300)]
        assert set(kinds(await broker.create_topics(many))) == {CreatedTopic}
        assert broker.image.index == before + 1 + 3
        assert len(broker.image.topics_by_name) == 400
        await broker.close()

    everywhere(scenario)


def test_topics_of_many_partitions_come_and_go_one_after_another(
    everywhere: Everywhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one proposal says is applied in one turn of the loop."""
    monkeypatch.setattr("app.raft.controller.PROPOSED_PARTITIONS_MAX", 10)

    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        seen: list[int] = []
        broker.watch(
            lambda image: seen.append(
                sum([len(topic.partitions) for topic in image.topics_by_name.values()])
            )
        )
        wide = [NewTopic(f"t{n}", partitions=width) for n, width in enumerate([4, 6, 1, 25, 3])]
        answers = await broker.create_topics([*wide[:2], NewTopic("a/b"), *wide[2:]])
        assert [kind.__name__ for kind in kinds(answers)] == [
            *["CreatedTopic"] * 2, "InvalidTopic", *["CreatedTopic"] * 3
        ]  # fmt: skip
        assert seen == [0, 10, 11, 36, 39]
        del seen[:]
        await broker.delete_topics([topic.name for topic in wide])
        assert seen == [29, 28, 3, 0]
        await broker.close()

    everywhere(scenario)


def test_many_topics_are_validated_in_turns_and_see_each_other(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        turns: list[int] = []

        async def counting() -> None:
            for number in range(5):
                turns.append(number)
                await asyncio.sleep(0)

        task = asyncio.get_running_loop().create_task(counting())
        topics = [NewTopic(f"t.{n}") for n in range(2_400)]
        answers = await broker.create_topics([*topics, NewTopic("t_0")], validate_only=True)
        assert kinds(answers) == [CreatedTopic] * 2_400 + [InvalidTopic]
        assert len(turns) == 5
        await task
        await broker.close()

    everywhere(scenario)


def test_a_topic_too_large_for_one_entry_travels_in_parts(
    everywhere: Everywhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stands for the assignments of many brokers: rows that all differ cannot be packed.
    monkeypatch.setattr(limits, "CONFIGS_BYTES_MAX", 1 << 20)

    async def scenario(place: Place) -> None:
        world = place.boot()
        broker = await controller(world, place.directory)
        configs: dict[str, str | None] = {"cleanup.policy": ",".join(["delete"] * 10_000)}
        before = broker.image.index
        answers = await broker.create_topics([NewTopic("a"), NewTopic("wide", configs=configs)])
        assert set(kinds(answers)) == {CreatedTopic}
        assert broker.image.index == before + 1 + 2, "one entry, then two parts"
        await place.kill()
        broker = await controller(place.boot(), place.directory)
        assert len(broker.image.topics_by_name["wide"].configs["cleanup.policy"]) == 69_999
        await broker.close()

    everywhere(scenario)


def test_validating_only_answers_alike_and_changes_nothing(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        before = broker.image
        answers = await broker.create_topics([NewTopic("a"), NewTopic("..")], validate_only=True)
        assert answers[0] == CreatedTopic("a", NO_TOPIC_ID, 1, 1, {})
        assert isinstance(answers[1], InvalidTopic)
        assert broker.image is before
        await broker.close()

    everywhere(scenario)


def test_partitions_are_added_at_once_or_only_validated(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        await broker.create_topics([NewTopic("a"), NewTopic("b", 2), NewTopic("c")])
        before = broker.image
        asked = [
            MorePartitions("a", 3),
            MorePartitions("nope", 3),
            MorePartitions("b", 2),
            MorePartitions("c", 2),
            MorePartitions("c", 3),
        ]
        for validate_only in (True, False):
            answers = await broker.add_partitions(asked, validate_only=validate_only)
            assert [type(answer) for answer in answers] == [
                Topic,
                UnknownTopicOrPartition,
                InvalidPartitions,
                InvalidRequest,
                InvalidRequest,
            ]
            assert isinstance(answers[0], Topic) and len(answers[0].partitions) == 3
            assert (broker.image is before) == validate_only
        assert answers[0] == broker.image.topics_by_name["a"]
        assert str(answers[3]) == "Duplicate topic name: 'c'"
        await place.kill()
        broker = await controller(place.boot(), place.directory)
        widths = {name: len(each.partitions) for name, each in broker.image.topics_by_name.items()}
        assert widths == {"a": 3, "b": 2, "c": 1}
        await broker.close()

    everywhere(scenario)


def test_configs_are_changed_at_once_or_only_validated(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        await broker.create_topics([NewTopic("a.x")])
        before = broker.image
        asked = [
            ConfigsReplaced("topic", "a.x", {"retention.ms": "5"}),
            ConfigsChanged("topic", "a.*", (ConfigChange("segment.ms", "set", "6"),)),
            ConfigsReplaced("broker", "", {"log.retention.ms": "x"}),
            ConfigsReplaced("broker", "1", {}),
            ConfigsReplaced("broker", "7", {}),
            ConfigsReplaced("broker", "7", {}),
        ]
        for validate_only in (True, False):
            answers = await broker.alter_configs(asked, validate_only=validate_only)
            assert answers[0] == {"retention.ms": "5"} and answers[1] == {"segment.ms": "6"}
            assert answers[3] == {}, "nothing to change is no failure"
            assert [type(answers[place]) for place in (2, 4, 5)] == [InvalidRequest] * 3
            assert (broker.image is before) == validate_only
        assert broker.image.index == before.index + 1, "one proposal"
        again = broker.image
        await broker.alter_configs(asked)
        assert broker.image is again, "what is so already is no proposal"
        await place.kill()
        broker = await controller(place.boot(), place.directory)
        topic = broker.image.topics_by_name["a.x"]
        assert (topic.policy.retention_ms, topic.policy.segment_ms) == (5, 6)
        assert topic.configs == {"retention.ms": "5"}
        assert broker.image.prefix_configs == {"a.*": {"segment.ms": "6"}}
        await broker.close()

    everywhere(scenario)


def test_many_changes_of_one_request_share_few_proposals(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        names = [f"t{n}" for n in range(1_000)]
        await broker.create_topics([NewTopic(name) for name in names])
        before = broker.image.index
        answers = await broker.add_partitions([MorePartitions(name, 2) for name in names])
        assert {type(answer) for answer in answers} == {Topic}
        change = (ConfigChange("retention.ms", "set", "5"),)
        altered = await broker.alter_configs(
            [ConfigsChanged("topic", name, change) for name in names]
        )
        assert altered == [{"retention.ms": "5"}] * 1_000
        assert broker.image.index <= before + 3 + 3
        assert broker.image.topics_by_name["t999"].policy.retention_ms == 5
        await broker.close()

    everywhere(scenario)


def test_a_change_too_large_to_propose_is_refused_and_its_neighbours_go_on(
    everywhere: Everywhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "PROPOSAL_PARTS_MAX", 2)

    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        names = ["a", "b", "c"]
        await broker.create_topics([NewTopic(name) for name in names])
        long = ",".join(["delete"] * 20_000)
        answers = await broker.alter_configs(
            [
                ConfigsReplaced(
                    "topic", name, {"cleanup.policy": long if name == "b" else "delete"}
                )
                for name in names
            ]
        )
        assert answers[0] == answers[2] == {"cleanup.policy": "delete"}
        assert isinstance(answers[1], PolicyViolation)
        assert [bool(broker.image.topics_by_name[name].configs) for name in names] == [
            True,
            False,
            True,
        ]
        await broker.close()

    everywhere(scenario)


def test_a_caller_of_changes_whose_time_is_up_hears_that_it_is_not_known(
    everywhere: Everywhere,
) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        await broker.create_topics([NewTopic("a")])
        (answer,) = await broker.add_partitions([MorePartitions("a", 2)], timeout_ms=0)
        assert isinstance(answer, RequestTimedOut)
        (refused,) = await broker.alter_configs(
            [ConfigsReplaced("topic", "a", {"retention.ms": "5"})], timeout_ms=0
        )
        assert isinstance(refused, RequestTimedOut)
        # Whatever became of them, the next decision knows.
        (topic,) = await broker.add_partitions([MorePartitions("a", 9)])
        assert isinstance(topic, Topic) and len(topic.partitions) == 9
        await broker.close()

    everywhere(scenario)


def test_topics_are_deleted_by_name_or_id_and_come_again_as_others(
    everywhere: Everywhere,
) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        await broker.create_topics([NewTopic("a"), NewTopic("b")])
        first = broker.image.topics_by_name["a"]
        by_id = broker.image.topics_by_name["b"].topic_id
        answers = await broker.delete_topics(["a", "nope", by_id, TopicId(b"?" * 16)])
        assert answers[0] == first
        assert isinstance(answers[1], UnknownTopicOrPartition)
        assert not isinstance(answers[2], StreamBusError)
        assert isinstance(answers[3], UnknownTopicId)
        assert not broker.image.topics_by_name
        again = await broker.ensure_topic("a")
        assert again.topic_id != first.topic_id
        assert again.partitions[0].leader_epoch == 0
        await broker.close()

    everywhere(scenario)


def test_a_topic_made_by_asking_for_it_gets_the_defaults(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        world = place.boot()
        broker = await controller(world, place.directory, ControllerDefaults(num_partitions=4))
        assert len((await broker.ensure_topic("a")).partitions) == 4
        with pytest.raises(InvalidTopic):
            await broker.ensure_topic("no/slash")
        await broker.close()

    everywhere(scenario)


def test_where_topics_are_not_made_by_asking_an_unknown_one_is_unknown(
    everywhere: Everywhere,
) -> None:
    async def scenario(place: Place) -> None:
        world = place.boot()
        broker = await controller(world, place.directory, ControllerDefaults(auto_create=False))
        with pytest.raises(UnknownTopicOrPartition):
            await broker.ensure_topic("a")
        await broker.create_topics([NewTopic("a")])
        assert (await broker.ensure_topic("a")).name == "a"
        await broker.close()

    everywhere(scenario)


def test_each_start_is_a_new_incarnation_and_a_new_epoch_of_what_it_leads(
    everywhere: Everywhere,
) -> None:
    async def scenario(place: Place) -> None:
        for start in range(1, 4):
            broker = await controller(place.boot(), place.directory)
            assert broker.image.brokers[BrokerId(1)].incarnation == start
            assert broker.image.controller_id == 1
            topic = await broker.ensure_topic("a")
            assert topic.partitions[0].leader_epoch == start - 1
            await place.kill()

    everywhere(scenario)


def test_a_directory_of_another_broker_is_refused(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        with pytest.raises(InvalidConfig, match="belongs to broker 1"):
            await broker.register_broker(BrokerId(2), [PLAIN])
        await broker.close()

    everywhere(scenario)


def test_a_caller_whose_time_is_up_hears_that_it_is_not_known(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        (answer,) = await broker.create_topics([NewTopic("late")], timeout_ms=0)
        assert isinstance(answer, RequestTimedOut)
        (answer2,) = await broker.delete_topics(["late"], timeout_ms=0)
        assert isinstance(answer2, RequestTimedOut)
        # Whatever became of it, the next decision knows.
        topic = await broker.ensure_topic("late")
        assert topic.name == "late"
        await broker.close()

    everywhere(scenario)


def test_a_caller_that_goes_away_takes_nothing_back_and_blocks_nobody(
    everywhere: Everywhere,
) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        tasks = [asyncio.ensure_future(broker.create_topics([NewTopic(f"t{n}")])) for n in range(5)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await broker.create_topics([NewTopic(f"t{n}") for n in range(5)])
        assert set(broker.image.topics_by_name) == {f"t{n}" for n in range(5)}
        await broker.close()

    everywhere(scenario)


def test_two_brokers_in_one_process_share_nothing(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        world = place.boot()
        one = await controller(world, f"{place.directory}/one")
        other = await controller(world, f"{place.directory}/other")
        await one.create_topics([NewTopic("a")])
        assert one.image.cluster_id != other.image.cluster_id
        assert not other.image.topics_by_name
        await one.close()
        await other.close()

    everywhere(scenario)


def test_at_ms_grows_though_the_clock_goes_back(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        world = place.boot()
        broker = await controller(world, place.directory)
        stamps = []
        broker.watch(lambda image: stamps.append(broker._node.at_ms))

        class Back:
            def now_ms(self) -> int:
                return 5

            def monotonic_ms(self) -> int:
                return 5

        world.clock = Back()
        for name in ("a", "b", "c"):
            await broker.create_topics([NewTopic(name)])
        assert stamps == sorted(set(stamps))
        await broker.close()

    everywhere(scenario)


def test_without_a_log_nothing_is_decided(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        world = place.boot()
        path = f"{place.directory}/manifest"
        broker = Controller(world, SingleNode(world, path), path)
        with pytest.raises(StreamBusError):
            await broker.register_broker(BrokerId(1), [PLAIN])

    everywhere(scenario)
