"""Who owns what: double entry, pure."""
