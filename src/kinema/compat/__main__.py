"""`python -m kinema.compat SCRIPT [ARGS]`: run a script whose OpenMMLab imports are served by Kinema."""

import importlib.util
import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from kinema.compat import install
from kinema.compat.script import run_script
from kinema.errors import KinemaError

USAGE = """usage: python -m kinema.compat [--traceback] SCRIPT [ARGS ...]
       python -m kinema.compat [--traceback] -m MODULE [ARGS ...]

Run a script or module; its imports of mmaction, mmengine, mmcv and decord are served by Kinema.
What Kinema refuses is one line; --traceback shows the calls that led there."""


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
    if script.suffix == ".sh":
        return _refuse(
            f"{target} is a shell script: start the Python file that it names, on N processes by `torchrun"
            " --nproc-per-node N -m kinema.compat tools/train.py CONFIG --launcher pytorch`"
        )
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


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show what ends the script: an error of Kinema's by its message and the script's line."""
    if not isinstance(error, KinemaError):
        sys.__excepthook__(kind, error, trace)
        return
    own = [
        f"{Path(frame.f_code.co_filename).name}:{line}"
        for frame, line in traceback.walk_tb(trace)
        if frame.f_globals.get("__name__") == "__main__" and frame.f_code.co_filename != __file__
    ]
    where = f"from {own[-1]}; " if own else ""
    sys.stderr.write(f"error: {error} ({where}python -m kinema.compat --traceback ... shows all calls)\n")


def _refuse(message: str) -> int:
    sys.stderr.write(f"kinema.compat: {message}\n")
    return 2


if __name__ == "__main__":
    wants_traceback = sys.argv[1:2] == ["--traceback"]
    if not wants_traceback:
        sys.excepthook = _show
    sys.exit(main(sys.argv[1 + wants_traceback :]))
