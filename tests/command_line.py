"""Commands of `kinema` inside the process of a test, which has imported what they need.

A process of its own spends seconds on importing torch. What a command does with its process (exit
status, signals, streams, threads) is tested in real ones, in `tests/cli/test_processes.py`.
"""

import contextlib
import io
import logging
import os
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

import numpy as np
import torch

from kinema.cli.main import main


def kinema(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, encoding: str = "utf-8"
) -> CompletedProcess[str]:
    """Run a command as a process of its own would.

    Args:
        *arguments: of the command line.
        cwd: where it runs.
        env: further variables of its environment.
        encoding: of its output; what that lacks is shown as the command shows it.

    Returns:
        Exit status, stdout and stderr.
    """
    command = list(map(str, arguments))
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    with (
        contextlib.chdir(cwd or Path.cwd()),
        mock.patch.dict(os.environ, env or {}),
        mock.patch.object(sys, "argv", ["kinema", *command]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        _state_of_the_process(),
    ):
        status = _status_of_main()
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode(encoding))  # type: ignore[attr-defined]
    return CompletedProcess(["kinema", *command], status, *texts)


def _status_of_main() -> int:
    try:
        main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


@contextlib.contextmanager
def _state_of_the_process() -> Iterator[None]:
    """Bring back what a command changes and leaves to the end of its process."""
    logger = logging.getLogger("kinema")
    handlers, level = list(logger.handlers), logger.level
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    with mock.patch.dict(os.environ):
        try:
            yield
        finally:
            logger.handlers[:], logger.level = handlers, level
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])
