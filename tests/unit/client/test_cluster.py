"""Twin of streambus/client/cluster.py."""

import pytest

from streambus.client.cluster import Cluster
from streambus.client.errors import ConnectionLost, NotInTime, Refused
from streambus.protocol import api
from streambus.protocol.messages import list_offsets
from tests.unit.client.scripted_broker import TOPIC_ID, ScriptedBroker


async def test_a_topic_has_its_leaders_and_its_id():
    async with ScriptedBroker(partitions=3) as broker, Cluster([broker.address]) as cluster:
        topic = await cluster.topic("orders")
        assert topic.topic_id == TOPIC_ID
        assert {led.leader for led in topic.partitions.values()} == {1}
        assert sorted(topic.partitions) == [0, 1, 2]


async def test_metadata_is_asked_for_once_until_it_is_forgotten():
    async with ScriptedBroker() as broker, Cluster([broker.address]) as cluster:
        await cluster.topic("orders")
        await cluster.topic("orders")
        assert [key for key, _ in broker.seen].count(api.METADATA) == 1
        cluster.forget("orders")
        await cluster.topic("orders")
        assert [key for key, _ in broker.seen].count(api.METADATA) == 2


async def test_a_topic_without_a_leader_yet_is_waited_for():
    async with ScriptedBroker() as broker, Cluster([broker.address]) as cluster:
        broker.errors[api.METADATA] = [5]
        assert (await cluster.topic("orders")).name == "orders"


async def test_a_topic_that_does_not_exist_is_refused_at_once_unless_it_may_be_created():
    async with ScriptedBroker() as broker, Cluster([broker.address]) as cluster:
        broker.errors[api.METADATA] = [3]
        with pytest.raises(Refused, match="there is no such topic"):
            await cluster.topic("orders")
        broker.errors[api.METADATA] = [3]
        assert (await cluster.topic("orders", allow_create=True)).name == "orders"


async def test_an_invalid_name_is_not_tried_again():
    async with ScriptedBroker() as broker, Cluster([broker.address]) as cluster:
        broker.errors[api.METADATA] = [17, 17]
        with pytest.raises(Refused) as refused:
            await cluster.topic("orders", allow_create=True)
        assert refused.value.error_code == 17
        assert len(broker.errors[api.METADATA]) == 1


async def test_the_second_server_serves_when_the_first_is_down():
    gone = await ScriptedBroker().start()
    address = gone.address
    await gone.stop()
    async with ScriptedBroker() as broker, Cluster([address, broker.address]) as cluster:
        assert (await cluster.topic("orders")).name == "orders"


async def test_no_server_at_all_is_a_lost_connection_once_the_time_is_over():
    gone = await ScriptedBroker().start()
    address = gone.address
    await gone.stop()
    async with Cluster([address], timeout_s=0.2) as cluster:
        with pytest.raises(ConnectionLost):
            await cluster.topic("orders")


async def test_a_broker_that_never_answers_is_given_up_at_the_deadline():
    async with ScriptedBroker() as broker, Cluster([broker.address], timeout_s=0.2) as cluster:
        broker.hang.add(api.METADATA)
        with pytest.raises(NotInTime):
            await cluster.topic("orders")


async def test_offsets_survive_a_moved_leader():
    async with ScriptedBroker() as broker, Cluster([broker.address]) as cluster:
        broker.starts = [5, 9]
        broker.errors[api.LIST_OFFSETS] = [6]
        topic = await cluster.topic("orders")
        found = await cluster.offsets(topic, [0, 1], list_offsets.EARLIEST)
        assert found == {0: 5, 1: 9}


async def test_a_connection_that_was_lost_is_made_anew():
    async with ScriptedBroker() as broker, Cluster([broker.address]) as cluster:
        broker.drop[api.METADATA] = 1
        assert (await cluster.topic("orders")).name == "orders"
        assert broker.connections == 2
