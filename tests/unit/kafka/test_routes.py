"""Routes kept by a connection: never older than the image and the verdicts."""

from app.kafka.routes import Routes
from app.model import ANONYMOUS
from app.security.ports import Operation
from tests.unit.kafka.arrange import DenyAll, Kit, topic_id


def test_names_and_ids_lead_to_the_same_replicas() -> None:
    kit = Kit()
    kit.controller.add("orders", partitions=2)
    routes = Routes(Operation.READ)
    by_name = routes.find(kit.broker, ANONYMOUS, b"orders", None)
    by_id = routes.find(kit.broker, ANONYMOUS, None, topic_id("orders"))
    assert by_name == by_id == (0, kit.registry.topics[b"orders"].replicas)
    assert routes.find(kit.broker, ANONYMOUS, b"nowhere", None) == (3, ())
    assert routes.find(kit.broker, ANONYMOUS, None, bytes(16)) == (100, ())


def test_the_operation_is_the_one_asked_about() -> None:
    authorizer = DenyAll()
    kit = Kit(authorizer=authorizer)
    kit.controller.add("orders")
    for operation in (Operation.READ, Operation.WRITE):
        routes = Routes(operation)
        assert routes.find(kit.broker, ANONYMOUS, b"orders", None) == (29, ())
        assert routes.find(kit.broker, ANONYMOUS, b"nowhere", None) == (29, ())
        assert authorizer.asked[-1][1] is operation


def test_a_change_of_image_or_verdicts_is_seen_at_once() -> None:
    authorizer = DenyAll()
    kit = Kit(authorizer=authorizer)
    kit.controller.add("orders")
    routes = Routes(Operation.READ)
    routes.find(kit.broker, ANONYMOUS, b"orders", None)
    routes.find(kit.broker, ANONYMOUS, b"orders", None)
    assert len(authorizer.asked) == 1
    kit.controller.add("payments")
    routes.find(kit.broker, ANONYMOUS, b"orders", None)
    assert len(authorizer.asked) == 2
    authorizer.generation += 1
    routes.find(kit.broker, ANONYMOUS, b"orders", None)
    assert len(authorizer.asked) == 3


def test_names_that_do_not_exist_take_no_memory() -> None:
    kit = Kit()
    routes = Routes(Operation.READ)
    for number in range(1_000):
        routes.find(kit.broker, ANONYMOUS, b"nowhere-%d" % number, None)
        routes.find(kit.broker, ANONYMOUS, None, number.to_bytes(16, "big"))
    assert not routes._by_name and not routes._by_id


def test_clients_read_the_brokers_own_topics_and_never_write_them() -> None:
    kit = Kit()
    kit.controller.add("__consumer_offsets")
    name, known = b"__consumer_offsets", topic_id("__consumer_offsets")
    reads, writes = Routes(Operation.READ), Routes(Operation.WRITE)
    for asked in ((name, None), (None, known)):
        assert reads.find(kit.broker, ANONYMOUS, *asked)[0] == 0
        assert writes.find(kit.broker, ANONYMOUS, *asked) == (17, ())
