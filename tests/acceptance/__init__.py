"""The main job, by real processes and real sockets."""
