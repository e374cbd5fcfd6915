"""The Python client: `Client`, what its event stream yields, and what its calls raise."""

from oddswire.client.client import Client
from oddswire.client.connection import Line, Reset, Told
from oddswire.client.errors import ServerRefused, ServerUnreachable, Stopped
from oddswire.client.snapshot import HoldingKey, OpenOrder, Snapshot
from oddswire.wire.cursor import Cursor

__all__ = [
    "Client",
    "Cursor",
    "HoldingKey",
    "Line",
    "OpenOrder",
    "Reset",
    "ServerRefused",
    "ServerUnreachable",
    "Snapshot",
    "Stopped",
    "Told",
]
