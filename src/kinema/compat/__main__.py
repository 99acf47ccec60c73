"""`python -m kinema.compat SCRIPT [ARGS]`: run a script whose OpenMMLab imports are served by Kinema."""

import importlib.util
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from kinema.compat import install
from kinema.compat.script import run_script

USAGE = """usage: python -m kinema.compat SCRIPT [ARGS ...]
       python -m kinema.compat -m MODULE [ARGS ...]

Run a script or module; its imports of mmaction, mmengine, mmcv and decord are served by Kinema."""


def main(arguments: Sequence[str]) -> int:
    """Run the script or module that `arguments` name; returns 2 when there is none, else what it ends with."""
    if not arguments or arguments[0] in ("-h", "--help"):
        stream, status = (sys.stdout, 0) if arguments else (sys.stderr, 2)
        stream.write(USAGE + "\n")
        return status
    as_module = arguments[0] == "-m"
    if as_module and len(arguments) == 1:
        return _refuse("-m needs the name of a module")
    target, *rest = arguments[1:] if as_module else arguments
    return _run_module(target, rest) if as_module else _run_script(target, rest)


def _run_script(target: str, arguments: list[str]) -> int:
    script = Path(target)
    if not script.is_file():
        return _refuse(f"there is no file {target}")
    install()
    sys.argv = [target, *arguments]
    sys.path[0] = str(script.resolve().parent)
    run_script(script)
    return 0


def _run_module(target: str, arguments: list[str]) -> int:
    install()
    try:
        is_there = importlib.util.find_spec(target) is not None
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        return _refuse(f"there is no module {target}")
    sys.argv = [target, *arguments]
    runpy.run_module(target, run_name="__main__", alter_sys=True)
    return 0


def _refuse(message: str) -> int:
    sys.stderr.write(f"kinema.compat: {message}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
