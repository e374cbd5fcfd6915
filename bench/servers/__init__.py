"""The gateway as the bench runs it."""
