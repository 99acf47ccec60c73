"""A process group of the process of a test alone."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist


@contextmanager
def group_of_one(folder: Path) -> Iterator[None]:
    """Join a group of gloo whose store is in `folder`, and leave it at the end."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
    try:
        yield
    finally:
        # A thread of gloo needs the interpreter to let go of the last exchange. Leaving holds the interpreter and
        # waits for that thread: with torch 2.6 for ever.
        time.sleep(0.2)
        dist.destroy_process_group()
