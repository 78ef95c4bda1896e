"""ApiVersions: what is offered in each version, and what an unknown version gets (KIP-511)."""

from tests.diff.schema import encode
from tests.diff.script import Script, Step

CLIENT = {"ClientSoftwareName": "diff", "ClientSoftwareVersion": "1.0"}


def every_version(script: Script) -> None:
    for version in script.versions("ApiVersions"):
        script.call("ApiVersions", version, CLIENT if version > 2 else {})


def versions_that_do_not_exist(script: Script) -> None:
    whole = encode("ApiVersions", 3, CLIENT)
    for version in (6, 99, 32_767, -1):
        sent = whole[:2] + version.to_bytes(2, "big", signed=True) + whole[4:]
        script.play(Step(sent, connection="unknown"))
    script.call("Metadata", 1, {"Topics": []}, connection="unknown")


def names_of_clients(script: Script) -> None:
    for name in ("a-b.c", "with space", "-a", "a-", "", "é", "x" * 300):
        for version in (3, 4):
            wrong = {"ClientSoftwareName": name, "ClientSoftwareVersion": "1"}
            script.call("ApiVersions", version, wrong)
            wrong = {"ClientSoftwareName": "a", "ClientSoftwareVersion": name}
            script.call("ApiVersions", version, wrong)


def apis_that_do_not_exist(script: Script) -> None:
    whole = encode("ApiVersions", 0, {})
    for key in (4, 5, 6, 7, 999, -1, 93):
        sent = key.to_bytes(2, "big", signed=True) + whole[2:]
        script.play(Step(sent, connection=f"api {key}"))
