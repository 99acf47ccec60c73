"""The shim, installed for one test."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import kinema.compat
from kinema.registry import default_scope, init_default_scope


@pytest.fixture
def shim() -> Iterator[None]:
    """The four names are Kinema's during the test; scope and log settings are put back after it."""
    logger = logging.getLogger("kinema")
    handlers, level, scope = list(logger.handlers), logger.level, default_scope()
    kinema.compat.install()
    yield
    kinema.compat.uninstall()
    logger.handlers[:] = handlers
    logger.setLevel(level)
    init_default_scope(scope)


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a fresh Python in `tmp_path`, which is on its path; arguments are those of the command line."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        return subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return run
