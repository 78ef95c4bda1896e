"""Policies: what each topic's configs mean once prefixes, brokers and the file have had their say.

Owns    the typed policies of one state of the configs, equal ones as one object.
Never   changes: when what topics inherit changes, another one is made.
Trusts  that every text was checked before it came here.

Not part of the replicated state: `file` and `broker_id` are of the broker that this runs on.
"""

from collections.abc import Mapping

from app.core import broker_config, topic_config, topic_names
from app.core.effective_config import ALL_BROKERS
from app.core.topic_policy import TopicPolicy
from app.limits import POLICIES_KEPT
from app.model import BrokerId

NO_BROKER = BrokerId(-2)
"""Of a manifest that is nobody's: no broker has configs under it."""

_NOTHING: Mapping[str, str] = {}


class Policies:
    def __init__(
        self,
        broker_id: BrokerId = NO_BROKER,
        file: Mapping[str, str] = _NOTHING,
        broker_configs: Mapping[int, Mapping[str, str]] | None = None,
        prefix_configs: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.broker_id = broker_id
        self.file = file
        self._brokers = broker_configs or {}
        self._prefixes = prefix_configs or {}
        self.defaults = topic_config.policy(broker_config.topic_defaults(self.levels()))
        """What a topic has that sets nothing and is under no prefix."""
        self._inherited: dict[str, TopicPolicy] = {}
        self._made: dict[tuple[str, tuple[tuple[str, str], ...]], TopicPolicy] = {}

    def levels(self) -> tuple[Mapping[str, str], ...]:
        """Where a broker config may be set, the place that wins first."""
        return (
            self._brokers.get(self.broker_id, _NOTHING),
            self._brokers.get(ALL_BROKERS, _NOTHING),
            self.file,
        )

    def having(
        self,
        broker_configs: Mapping[int, Mapping[str, str]],
        prefix_configs: Mapping[str, Mapping[str, str]],
    ) -> "Policies":
        """Of the same broker, where these are set."""
        return Policies(self.broker_id, self.file, broker_configs, prefix_configs)

    def of(self, name: str, configs: Mapping[str, str]) -> TopicPolicy:
        """The policy of a topic that sets these configs itself."""
        prefix = self._prefix(name)
        if not configs:
            return self._under(prefix)
        key = (prefix, tuple(configs.items()))
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= POLICIES_KEPT:
                self._made.clear()
            made = self._made[key] = topic_config.policy(configs, self._under(prefix))
        return made

    def inherited(self, name: str) -> TopicPolicy:
        """What a topic or prefix of that name has where it sets nothing itself."""
        return self._under(self._prefix(name))

    def inherited_text(self, name: str, config: str) -> str:
        """The text of one config where a topic or prefix of that name sets none."""
        for prefix in topic_names.prefixes(name):
            if config in self._prefixes.get(prefix, _NOTHING):
                return self._prefixes[prefix][config]
        option = broker_config.DEFAULT_OF[config]
        default = topic_config.OPTIONS[config].default or ""
        return next(
            (level[option.name] for level in self.levels() if option.name in level), default
        )

    def _prefix(self, name: str) -> str:
        """The longest prefix that says something, or none."""
        if not self._prefixes:
            return ""
        return next((each for each in topic_names.prefixes(name) if each in self._prefixes), "")

    def _under(self, prefix: str) -> TopicPolicy:
        if not prefix:
            return self.defaults
        made = self._inherited.get(prefix)
        if made is None:
            above = self._under(self._prefix(prefix))
            made = self._inherited[prefix] = topic_config.policy(self._prefixes[prefix], above)
        return made
