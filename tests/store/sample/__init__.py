"""A schema of statements that no schema of ours would have."""
