"""The paper venue: a venue like any other, that trades against nobody's real money."""

from oddswire.store.queries import Schema
from oddswire.venues.paper.adapter import PaperVenue
from oddswire.venues.paper.config import PaperConfig, load_markets, paper_config

__all__ = ["SCHEMA", "PaperConfig", "PaperVenue", "load_markets", "paper_config"]

SCHEMA = Schema("paper", "oddswire.venues.paper")
"""The paper venue's own tables."""
