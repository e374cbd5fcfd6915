"""Oddswire: one kind of order to every prediction market, each user's events on every screen of that user."""
