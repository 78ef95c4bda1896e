"""Twin of streambus/protocol/api.py."""

import pytest
from kio.index import load_payload_module
from kio.static.constants import EntityType

from streambus.protocol import api


def test_produce_is_advertised_from_zero_for_librdkafka_but_not_served_there():
    assert dict((key, oldest) for key, oldest, _ in api.advertised())[api.PRODUCE] == 0
    assert not api.is_served(api.PRODUCE, 2)
    assert api.is_served(api.PRODUCE, 3)


def test_what_is_not_in_the_table_is_not_served():
    assert not api.is_served(8, 2)
    assert not api.is_served(api.FETCH, 19)
    assert not api.is_flexible(8, 9)
    assert api.name_of(8) == "api 8"


@pytest.mark.parametrize("row", api.TABLE + api.GROUP_APIS, ids=lambda row: row.name)
def test_flexible_begins_where_the_schemas_say(row):
    for version in range(row.oldest, row.newest + 1):
        types = load_payload_module(row.key, version, EntityType.request)
        entity_type = getattr(types, f"{row.name}Request")
        assert entity_type.__flexible__ == (version >= row.flexible_from)
        assert api.is_flexible(row.key, version) == (row in api.TABLE and entity_type.__flexible__)


def test_what_no_broker_serves_yet_is_not_advertised():
    assert not {row.key for row in api.GROUP_APIS} & {key for key, _, _ in api.advertised()}
