"""Small functions of `mmaction.utils` over processes and names."""

import secrets
import string
import threading

_LETTERS = string.ascii_letters + string.digits


def get_random_string(length: int = 15) -> str:
    """`length` letters and digits, not by the generators that a seed sets."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def get_thread_id() -> int:
    """Number of the thread that calls."""
    return threading.get_ident()


def get_shm_dir() -> str:
    """The folder of files in memory."""
    return "/dev/shm"
