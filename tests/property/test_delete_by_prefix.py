"""Deleting by prefix is a filter: what is under the prefix goes, and nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.admin.commands.topics import DeleteTopicsByPrefix, ListTopics
from app.security.ports import Operation
from tests.unit.admin.arrange import Desk, Rights, on_broker, on_topics

NAMES = st.lists(st.sampled_from(["a", "b", "ab", "a-b"]), min_size=1, max_size=3).map(".".join)
PREFIXES = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=2).map(
    lambda segments: ".".join(segments) + ".*"
)


@settings(max_examples=30, deadline=None)
@given(st.sets(NAMES, max_size=8), PREFIXES, st.sets(NAMES), st.sets(NAMES), st.booleans())
def test_deleting_by_prefix_equals_filtering(
    topics: set[str], prefix: str, hidden: set[str], kept: set[str], validate_only: bool
) -> None:
    rights = Rights(
        *on_topics(Operation.CREATE),
        *[r for name in topics - hidden for r in on_topics(Operation.DESCRIBE, name=name)],
        *[r for name in topics - kept for r in on_topics(Operation.DELETE, name=name)],
    )

    async def scenario(desk: Desk) -> None:
        if topics:
            await desk.create(*sorted(topics))
        under = {name for name in topics if name.startswith(prefix.removesuffix("*"))}
        reply = await desk.ask(DeleteTopicsByPrefix(prefix, validate_only))
        deleted = [each.name for each in reply.topics if type(each).__name__ == "DeletedTopic"]
        assert deleted == sorted(under - hidden - kept)
        assert len(reply.topics) == len(under - hidden)
        left = topics if validate_only else topics - set(deleted)
        assert set(desk.image.topics_by_name) == left
        listed = await desk.ask(ListTopics())
        assert [each.name for each in listed.topics] == sorted(left - hidden)

    on_broker(scenario, authorizer=rights)
