"""The manifest on a broker: what watchers see, and when."""

from app.core.manifest.decide import NewTopic
from app.core.manifest.image import Image
from app.model import BrokerId
from tests.contract.places import Everywhere, Place, everywhere
from tests.unit.raft.brokers import controller

__all__ = ["everywhere"]


def test_a_watcher_sees_the_image_now_and_each_that_differs(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        seen: list[Image] = []
        broker.watch(seen.append)
        assert seen == [broker.image]
        await broker.create_topics([NewTopic("a")])
        await broker.reserve_producer_ids(BrokerId(1))  # changes nothing that readers see
        await broker.delete_topics(["a"])
        assert [set(image.topics_by_name) for image in seen] == [set(), {"a"}, set()]
        assert broker.image is seen[-1]
        await broker.close()

    everywhere(scenario)


def test_watchers_hear_before_the_caller_does(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        order: list[str] = []
        broker.watch(lambda image: order.append("image"))
        for name in ("a", "b"):
            await broker.create_topics([NewTopic(name)])
            order.append("reply")
        assert order == ["image", "image", "reply", "image", "reply"]
        await broker.close()

    everywhere(scenario)


def test_the_image_after_a_restart_is_the_image_before_it(everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        broker = await controller(place.boot(), place.directory)
        await broker.create_topics([NewTopic("a", 3, configs={"retention.ms": "5"})])
        before = broker.image
        await place.kill()
        broker = await controller(place.boot(), place.directory)
        after = broker.image
        assert after.cluster_id == before.cluster_id
        topic = after.topics_by_name["a"]
        assert topic.topic_id == before.topics_by_name["a"].topic_id
        assert topic.policy.retention_ms == 5
        assert [state.leader_epoch for state in topic.partitions] == [1, 1, 1]
        await broker.close()

    everywhere(scenario)
