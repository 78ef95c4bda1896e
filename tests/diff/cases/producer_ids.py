"""InitProducerId without transactions, and what is refused of it."""

from tests.diff.script import Script


def every_version(script: Script) -> None:
    for version in script.versions("InitProducerId"):
        for timeout in (0, 60_000, -1, 2**31 - 1):
            body = {"TransactionalId": None, "TransactionTimeoutMs": timeout}
            script.call("InitProducerId", version, body)


def with_an_id_already(script: Script) -> None:
    for version in script.versions("InitProducerId", 3):
        for producer, epoch in ((5, 0), (5, -1), (-1, 3), (-2, -2), (5, 32_767), (2**62, 1)):
            ids = {"ProducerId": producer, "ProducerEpoch": epoch}
            body = {"TransactionalId": None, "TransactionTimeoutMs": 1000, **ids}
            script.call("InitProducerId", version, body)


def an_empty_transactional_id(script: Script) -> None:
    for version in script.versions("InitProducerId"):
        body = {"TransactionalId": "", "TransactionTimeoutMs": 1000}
        script.call("InitProducerId", version, body)
