"""Twin of streambus/protocol/messages/control.py; golden and property tests say the rest."""

import subprocess
import sys

import pytest

from streambus.errors import Malformed
from streambus.protocol import api
from streambus.protocol.messages import control


@pytest.mark.parametrize(("key", "version"), [(api.METADATA, 14), (api.PRODUCE, 3), (999, 0)])
def test_what_is_not_served_is_malformed(key, version):
    with pytest.raises(Malformed, match="no version"):
        control.decode(key, version, memoryview(b""), 0, 0)


def test_a_message_larger_than_any_real_one_is_not_even_tried():
    data = memoryview(bytes(control.CONTROL_BYTES_MAX + 1))
    with pytest.raises(Malformed, match="bytes"):
        control.decode(api.METADATA, 1, data, 0, len(data))


def test_a_field_that_a_version_lacks_is_left_out():
    for version in range(14):
        types = control.request_types(api.METADATA, version)
        entity = control.fill(
            types.MetadataRequest,
            topics=(),
            allow_auto_topic_creation=True,
            include_cluster_authorized_operations=False,
            include_topic_authorized_operations=False,
        )
        assert hasattr(entity, "allow_auto_topic_creation") == (version >= 4)


def test_an_entity_of_another_version_is_our_mistake():
    types = control.response_types(api.INIT_PRODUCER_ID, 0)
    entity = control.fill(
        types.InitProducerIdResponse,
        throttle_time=control.span_ms(0),
        error_code=None,
        producer_id=1,
        producer_epoch=0,
    )
    with pytest.raises(AssertionError):
        control.encode(entity, 1, 1)


def test_nothing_of_kio_is_imported_before_a_message_is_used():
    code = "import sys, streambus.protocol.messages.control; sys.exit('kio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
