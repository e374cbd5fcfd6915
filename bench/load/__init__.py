"""The load: many clients in one process, in as little code as a client can be."""
