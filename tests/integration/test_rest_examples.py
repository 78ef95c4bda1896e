"""Every example that is published, run against a broker: of the OpenAPI document and of
docs/rest.md."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.specs.openapi import checks

from tests.fuzz.rest import ENDLESS, TOPIC, arrange
from tests.integration.rest import RestBroker, rest_broker

DOCUMENT = Path(__file__).parents[2] / "docs/rest.md"
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
PATH = {"topic": TOPIC, "broker_id": 1}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RestBroker]:
    with rest_broker(tmp_path / "data") as running:
        yield running


def operations(broker: RestBroker) -> list[Any]:
    schema = schemathesis.openapi.from_dict(broker.ask("GET", "/v1/openapi.json").json)
    schema.config.update(base_url=f"http://{broker.address}")
    return [found for each in schema.get_all_operations() if (found := each.ok()).path != ENDLESS]


def parameters(document: Any) -> dict[str, Any]:
    """The examples of the query, by name."""
    return {
        each["name"]: each["schema"]["examples"][0]
        for each in document.get("parameters", [])
        if each["in"] == "query" and "examples" in each["schema"]
    }


def test_every_example_of_the_openapi_document_works(broker: RestBroker) -> None:
    tried = 0
    for operation in operations(broker):
        document = operation.definition.raw
        path = {name: value for name, value in PATH.items() if f"{{{name}}}" in operation.path}
        bodies: list[dict[str, Any]] = []
        for media, content in document.get("requestBody", {}).get("content", {}).items():
            assert content.get("examples"), f"{operation.label}: no example of {media}"
            bodies += [
                {"body": each["value"], "media_type": media}
                for each in content["examples"].values()
            ]
        for more in bodies or [{}]:
            arrange(broker)  # an example before may have deleted it
            if operation.label == "POST /v1/topics/{topic}/records":
                more = {**more, "body": encoded(more)}
            case = operation.Case(path_parameters=path, query=parameters(document), **more)
            answer = broker.ask(
                operation.method.upper(),
                case.formatted_path + query_of(case.query),
                more.get("body"),
                more.get("media_type"),
            )
            assert answer.status in (200, 201, 207), f"{operation.label} {more}: {answer}"
            assert b'"error":{' not in answer.body, f"{operation.label} {more}: {answer}"
            tried += 1
    assert tried > 25


def encoded(example: dict[str, Any]) -> Any:
    body = example["body"]
    return body.encode() if isinstance(body, str) else body


def query_of(query: dict[str, Any] | None) -> str:
    return "?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else ""


def test_answers_to_examples_are_as_the_document_says(broker: RestBroker) -> None:
    arrange(broker)
    for operation in operations(broker):
        if operation.method.upper() == "GET":
            path = {name: value for name, value in PATH.items() if f"{{{name}}}" in operation.path}
            case = operation.Case(path_parameters=path)
            response = case.call()
            assert response.status_code == 200, operation.label
            case.validate_response(response, checks=CHECKS)


def commands() -> list[tuple[str, str]]:
    """(command, what it shows) of each `$ curl …` in docs/rest.md."""
    blocks = re.findall(r"```console\n(.*?)```", DOCUMENT.read_text(), re.S)
    found = []
    for block in blocks:
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            lines = part.split("\n")
            command = lines.pop(0)
            while command.endswith("\\"):
                command = command[:-1] + lines.pop(0)
            found.append((command, "\n".join(lines).strip()))
    return found


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_every_command_of_the_documentation_shows_what_it_says(broker: RestBroker) -> None:
    assert len(commands()) > 10
    for command, shown in commands():
        words = shlex.split(command.replace("127.0.0.1:9080", broker.address))
        assert words[0] == "curl"
        done = subprocess.run(
            [*words, "--silent", "--show-error", "--max-time", "20"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        got = done.stdout.strip()
        pattern = "".join(
            ".*?" if part == "…" else re.escape(part) for part in re.split("(…)", shown)
        )
        assert re.fullmatch(pattern, got, re.S), f"{command}\nshows\n{got}\nnot\n{shown}"


def test_every_route_and_problem_is_documented(broker: RestBroker) -> None:
    from app.api import problems

    text = DOCUMENT.read_text()
    document = broker.ask("GET", "/v1/openapi.json").json
    missing = [
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
        if f"`{method.upper()} {path}`" not in text
    ]
    names = {known.name for known in [*problems.KAFKA.values(), *problems.OF_KIND.values()]}
    missing += [
        name for name in names | set(problems.OF_STATUS.values()) if f"`{name}`" not in text
    ]
    assert not missing, f"not in docs/rest.md: {missing}"
