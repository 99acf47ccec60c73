"""Run a script as the main program under the shim, in this process and in those that it starts.

A process that `multiprocessing` starts afresh (`spawn`, `forkserver`) imports the main module
again, to find what a worker's objects were defined in. The script alone would fail there, for want
of the shim. So the main module carries the name of this file as its import name: the new process
runs this file under the name `__mp_main__`, which installs the shim and then runs the script in its
place.
"""

import importlib.util
import os
import sys
from pathlib import Path
from types import CodeType, ModuleType

from kinema.compat import install

_SCRIPT_VARIABLE = (
    "KINEMA_COMPAT_SCRIPT"  # where started processes find the script's path; their `sys.argv` is this file's
)


def _compiled(script: Path) -> CodeType:
    return compile(script.read_bytes(), str(script), "exec", dont_inherit=True)


def run_script(script: Path) -> None:
    """Execute `script` as `__main__`."""
    os.environ[_SCRIPT_VARIABLE] = str(script.resolve())
    module = ModuleType("__main__")
    module.__file__ = str(script)
    module.__spec__ = importlib.util.find_spec("kinema.compat.script")
    sys.modules["__main__"] = module
    exec(_compiled(script), vars(module))


if __name__ == "__mp_main__":
    install()
    __file__ = os.environ[_SCRIPT_VARIABLE]
    exec(_compiled(Path(__file__)), globals())
