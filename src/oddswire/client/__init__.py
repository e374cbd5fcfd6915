"""The Python client: `Client`, what its event stream yields, and what its calls raise."""

from oddswire.client.client import Client
from oddswire.client.connection import Line, Reset, Told
from oddswire.client.errors import ServerRefused, ServerUnreachable, Stopped

__all__ = ["Client", "Line", "Reset", "ServerRefused", "ServerUnreachable", "Stopped", "Told"]
