"""Other servers that push the same bytes, each in the way its own documentation shows."""
