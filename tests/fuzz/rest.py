"""Every operation of the OpenAPI document, with requests that fit its schema and such that do not.

    python -m tests.fuzz.rest SECONDS SEED

Whatever is asked: an answer that the document describes, and never a fault of the broker. Positive
requests may be refused (a schema cannot say which topics there are), negative ones must be.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from tests.integration.rest import RestBroker, rest_broker

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]
MAY_FAIL = (503, 504)  # not now, and not in time: documented at every operation
ENDLESS = "/v1/watch/topics"  # its answer ends when the client does
TOPIC = "orders.created"
PARTITIONS_MAX = 20  # of a topic that a case may really make


def arrange(broker: RestBroker) -> None:
    """What cases can find: a topic with records. Some case may have deleted it."""
    broker.ask("POST", "/v1/topics", {"name": TOPIC, "partitions": 2})
    body = {"records": [{"key": "k", "value": {"base64": "AP+A"}}, {"value": "text"}]}
    broker.ask("POST", f"/v1/topics/{TOPIC}/records?partition=0", body)


def calmed(case: Any) -> None:
    """A case that would make thousands of partitions only asks whether it could."""
    body = case.body if isinstance(case.body, dict) else {}
    topics = body.get("topics")
    asked = [body, *(topics if isinstance(topics, list) else [])]
    for each in asked:
        if not isinstance(each, dict):
            continue
        for name in ("partitions", "total"):
            number = each.get(name)
            if isinstance(number, int) and number > PARTITIONS_MAX:
                case.query = {**(case.query or {}), "validate_only": "true"}


class Fuzz:
    def __init__(self, broker: RestBroker) -> None:
        self.broker = broker
        self.url = f"http://{broker.address}"
        self.session = requests.Session()
        document = broker.ask("GET", "/v1/openapi.json").json
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=self.url)
        # What has more items than a request may have is too large, as a body of more bytes is.
        rejected = schema.config.checks.negative_data_rejection
        rejected.expected_statuses = [*rejected.expected_statuses, "413"]
        found = [each.ok() for each in schema.get_all_operations()]
        self.operations = [each for each in found if each.path != ENDLESS]
        self.statuses: Counter[int] = Counter()

    def judge(self, case: Any) -> None:
        calmed(case)
        response = case.call(session=self.session, timeout=30)
        self.statuses[response.status_code] += 1
        if response.status_code not in MAY_FAIL:
            case.validate_response(response, checks=[not_a_server_error, *CHECKS])

    def round(self, examples: int, start: int) -> None:
        """About `examples` cases of each operation that fit its schema, and as many that do not."""
        for operation in self.operations:
            arrange(self.broker)
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                self.operation(operation, mode, examples, start)

    def operation(self, operation: Any, mode: GenerationMode, examples: int, start: int) -> None:
        """Half of the cases are about the topic or the broker that there is."""
        fixed: list[dict[str, Any] | None] = [None]
        for name, known in (("topic", TOPIC), ("broker_id", 1)):
            if f"{{{name}}}" in operation.path:
                fixed.append({name: known})
        for path_parameters in fixed:
            strategy = operation.as_strategy(generation_mode=mode, path_parameters=path_parameters)

            @seed(start)
            @settings(
                max_examples=max(1, examples // len(fixed)),
                phases=[Phase.generate],
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(strategy)
            def run(case: Any) -> None:
                self.judge(case)

            try:
                run()
            except Unsatisfiable:
                # Nothing is left in it that could be wrong.
                assert mode is GenerationMode.NEGATIVE, operation.label


def fuzz(seconds: float, start: int, report: Callable[[str], object]) -> Counter[int]:
    """Rounds over all operations for so long; returns how often each status was answered."""
    ends = time.monotonic() + seconds
    with (
        tempfile.TemporaryDirectory() as folder,
        rest_broker(Path(folder) / "data", request_ms=2_000) as broker,
    ):
        fuzzed = Fuzz(broker)
        while time.monotonic() < ends:
            fuzzed.round(100, start)
            report(f"seed {start}: {dict(sorted(fuzzed.statuses.items()))}")
            start += 1
        return fuzzed.statuses


if __name__ == "__main__":
    duration = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    fuzz(duration, first, lambda text: print(text, flush=True))
