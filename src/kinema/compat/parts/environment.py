"""What a program runs on: `collect_env` and `get_git_hash`."""

import platform
import subprocess
import sys

import numpy as np
import torch

from kinema import __version__
from kinema.compat.parts.versions import MMACTION, MMCV


def get_git_hash(fallback: str = "unknown", digits: int | None = None) -> str:
    """The commit of the present folder's repository.

    Args:
        fallback: what to return where there is none.
        digits: how many digits; default: all.

    Raises:
        TypeError: `digits` is no whole number.
    """
    if digits is not None and not isinstance(digits, int):
        raise TypeError(f"digits must be None or a whole number, got {type(digits).__name__}")
    try:
        run = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return fallback
    return run.stdout.strip()[:digits]


def collect_mmaction_env() -> dict[str, object]:
    """As `collect_env`, with the release of MMAction2 that Kinema answers for and the commit of the folder."""
    return {**collect_env(), "MMAction2": f"{MMACTION}+{get_git_hash(digits=7)}"}


def collect_mmcv_env() -> dict[str, object]:
    """As `collect_env`, with the release of MMCV that Kinema answers for, which has no compiled code."""
    return {**collect_env(), "MMCV": MMCV, "MMCV Compiler": "n/a", "MMCV CUDA Compiler": "n/a"}


def collect_env() -> dict[str, object]:
    """Versions and devices, by name, to put into a log."""
    import cv2

    has_cuda = torch.cuda.is_available()
    facts: dict[str, object] = {
        "sys.platform": sys.platform,
        "Python": sys.version.replace("\n", ""),
        "CUDA available": has_cuda,
        "MUSA available": False,
        "numpy_random_seed": int(np.random.get_state()[1][0]),  # type: ignore[index]
    }
    if has_cuda:
        for number in range(torch.cuda.device_count()):
            facts[f"GPU {number}"] = torch.cuda.get_device_name(number)
    facts |= {
        "GCC": platform.python_compiler(),
        "PyTorch": torch.__version__,
        "PyTorch compiling details": torch.__config__.show(),
        "OpenCV": cv2.__version__,
        "Kinema": __version__,
        "MMEngine": f"provided by Kinema {__version__}",
    }
    return facts
