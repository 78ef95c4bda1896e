"""ApiVersions, versions 0 to 4.

Behaviour: lists what the routing table serves, the features of features.py, and from version 3
checks the name and version of the client's software (INVALID_REQUEST if they are not words).
Oddities: the response header is version 0 at every version, and an unknown version is answered in
version 0 with UNSUPPORTED_VERSION and the list, so that a newer client can try again (KIP-511).
Needs no authorisation: a client sends it before anyone knows who it is.
"""

import re
from typing import Any

from app.errors import InvalidRequest, UnsupportedVersion
from app.kafka.context import RequestContext
from app.kafka.features import FEATURES
from streambus.protocol.messages import control

KEY = 18
VERSIONS = (0, 4)

_SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?\Z", re.ASCII)


async def handle(context: RequestContext, request: Any) -> Any:
    if request is None:
        return _response(context, UnsupportedVersion.code)
    if context.api_version >= 3 and not (
        _SOFTWARE.match(request.client_software_name)
        and _SOFTWARE.match(request.client_software_version)
    ):
        raise InvalidRequest("client software name and version must be words")
    return _response(context, 0)


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    return _response(context, code)


def encode(response: Any, correlation_id: int, version: int) -> bytes:
    return control.encode(response, correlation_id, max(version, 0))


def _response(context: RequestContext, code: int) -> Any:
    """With any error but the unknown version the list is empty, as in Kafka."""
    shape = context.shape
    listed = context.broker.advertised if code in (0, UnsupportedVersion.code) else ()
    # Before version 4 a feature with minimum 0 cannot be told (KIP-1022), before 3 none.
    features = [
        each
        for each in FEATURES
        if not code and context.api_version >= (3 if each.oldest > 0 else 4)
    ]
    return shape(
        "ApiVersionsResponse",
        error_code=context.error(code),
        api_keys=tuple(
            shape("ApiVersion", api_key=key, min_version=oldest, max_version=newest)
            for key, oldest, newest in listed
        ),
        throttle_time=context.throttle,
        supported_features=tuple(
            shape(
                "SupportedFeatureKey",
                name=each.name,
                min_version=each.oldest,
                max_version=each.newest,
            )
            for each in features
        ),
        finalized_features_epoch=context.broker.controller.image.index if features else -1,
        finalized_features=tuple(
            shape(
                "FinalizedFeatureKey",
                name=each.name,
                max_version_level=each.finalised,
                min_version_level=each.finalised,
            )
            for each in features
        ),
    )
