"""StreamBus: the wire protocol, chunk formats and client that users import (the broker lives in
`app`)."""

__version__ = "0.1.0"
