"""What a broker without security uses."""

from app.model import ANONYMOUS
from app.security.ports import AllowAll, Operation, Resource, Unlimited


def test_a_broker_without_security_allows_and_never_throttles() -> None:
    authorizer = AllowAll()
    assert all(
        authorizer.allows(ANONYMOUS, operation, resource, "any")
        and authorizer.allows_any(ANONYMOUS, operation, resource)
        for operation in Operation
        for resource in Resource
    )
    assert Unlimited().throttle_ms(ANONYMOUS, "client", 0, 1 << 30) == 0


def test_operations_have_kafkas_codes() -> None:
    assert (Operation.READ, Operation.WRITE, Operation.IDEMPOTENT_WRITE) == (3, 4, 12)
    assert (Resource.TOPIC, Resource.GROUP, Resource.TRANSACTIONAL_ID) == (2, 3, 5)
