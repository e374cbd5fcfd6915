"""Who is at the command line, for what is written down of their acts."""

import os
import pwd
import socket


def me() -> str:
    """Return `user@host`: the user this process runs as, by number where it has no name.

    What the environment says of the user is not asked: anybody may set that.
    """
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    return f"{name}@{socket.gethostname()}"
