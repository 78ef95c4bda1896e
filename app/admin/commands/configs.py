"""Configs of topics, of prefixes of topic names, and of brokers.

A resource of kind `topic` whose name ends in `.*` is a prefix (`app.service.*`): topics under it
inherit what is set there, the longest prefix first. A resource of kind `broker` is named by its id,
or "" for all brokers. Names, types and sources are Kafka's.
"""

from collections.abc import Mapping, Sequence

import msgspec

from app import limits
from app.admin.port import Command, Failed, Touch
from app.core import effective_config
from app.core.manifest import config_changes
from app.security.ports import CLUSTER_NAME, Operation, Resource

Source = effective_config.Source
ResourceKind = config_changes.ResourceKind
Change = config_changes.Change
ConfigChange = config_changes.ConfigChange
ConfigsChanged = config_changes.ConfigsChanged
ConfigsReplaced = config_changes.ConfigsReplaced


class ConfigSynonym(msgspec.Struct, frozen=True):
    """One place where the value is set, the one that wins first. `name` is the config's name there,
    `where` the prefix for the source `prefix`."""

    name: str
    value: str | None
    source: Source
    where: str = ""


class ConfigEntry(msgspec.Struct, frozen=True):
    """`value` is None where it is secret. `type` is Kafka's word (INT, LONG, LIST, …)."""

    name: str
    value: str | None
    source: Source
    read_only: bool
    sensitive: bool
    type: str
    doc: str = ""
    where: str = ""
    synonyms: tuple[ConfigSynonym, ...] = ()


class ConfigsAsked(msgspec.Struct, frozen=True):
    """`names` None asks for all."""

    kind: ResourceKind
    name: str
    names: tuple[str, ...] | None = None


class DescribeConfigs(Command, frozen=True):
    """-> DescribedConfigs, an item for each resource."""

    resources: tuple[ConfigsAsked, ...]
    synonyms: bool = False
    docs: bool = False

    def touches(self) -> Sequence[Touch]:
        return tuple(
            [_touch(Operation.DESCRIBE_CONFIGS, each.kind, each.name) for each in self.resources]
        )


class ResourceConfigs(msgspec.Struct, frozen=True, tag=True):
    kind: ResourceKind
    name: str
    configs: tuple[ConfigEntry, ...]


class DescribedConfigs(msgspec.Struct, frozen=True, tag=True):
    resources: tuple[ResourceConfigs | Failed, ...]


class AlterConfigs(Command, frozen=True):
    """-> AlteredConfigs, an item for each resource; all changes of a resource, or none."""

    resources: tuple[ConfigsChanged, ...]
    validate_only: bool = False
    timeout_ms: int = limits.PROPOSE_TIMEOUT_MS

    def touches(self) -> Sequence[Touch]:
        return tuple(
            [_touch(Operation.ALTER_CONFIGS, each.kind, each.name) for each in self.resources]
        )


class ReplaceConfigs(Command, frozen=True):
    """-> AlteredConfigs: these and no other configs shall be set (Kafka's older AlterConfigs)."""

    resources: tuple[ConfigsReplaced, ...]
    validate_only: bool = False
    timeout_ms: int = limits.PROPOSE_TIMEOUT_MS

    def touches(self) -> Sequence[Touch]:
        return tuple(
            [_touch(Operation.ALTER_CONFIGS, each.kind, each.name) for each in self.resources]
        )


class AlteredResource(msgspec.Struct, frozen=True, tag=True):
    """`configs` is what is set on the resource now."""

    kind: ResourceKind
    name: str
    configs: Mapping[str, str]


class AlteredConfigs(msgspec.Struct, frozen=True, tag=True):
    resources: tuple[AlteredResource | Failed, ...]


class ConfigResource(msgspec.Struct, frozen=True):
    kind: ResourceKind
    name: str


class ConfigResources(msgspec.Struct, frozen=True, tag=True):
    resources: tuple[ConfigResource, ...]


class ListConfigResources(Command, frozen=True):
    """-> ConfigResources: every topic, every prefix that has configs, every broker, "" if all
    brokers have some. `kinds` empty means every kind."""

    kinds: tuple[ResourceKind, ...] = ()

    def touches(self) -> Sequence[Touch]:
        return (Touch(Operation.DESCRIBE_CONFIGS, Resource.CLUSTER, CLUSTER_NAME),)


def _touch(operation: Operation, kind: ResourceKind, name: str) -> Touch:
    if kind == "topic":
        return Touch(operation, Resource.TOPIC, name)
    return Touch(operation, Resource.CLUSTER, CLUSTER_NAME)


COMMANDS = (DescribeConfigs, AlterConfigs, ReplaceConfigs, ListConfigResources)
