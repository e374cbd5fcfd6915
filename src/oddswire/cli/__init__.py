"""The command line."""

from oddswire.cli.root import main

__all__ = ["main"]
