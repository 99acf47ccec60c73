"""Ports for processes that tests start."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """A port of this machine that nobody has, nor gets before the process has started that is to take it.

    The ports that systems give away themselves begin at 32768: those of other tests, which run
    meanwhile.
    """
    numbers = random.SystemRandom()  # other processes seed theirs alike
    while True:
        port = numbers.randrange(20_000, 32_768)
        with suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port
