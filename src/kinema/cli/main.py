"""`kinema`: the commands, and how their errors are shown."""

import atexit
import errno
import gc
import os
import sys
import traceback
from typing import Annotated

import typer

from kinema import __version__
from kinema.cli.bench import bench
from kinema.cli.config import EPILOG as CONFIG_EXAMPLES
from kinema.cli.config import config
from kinema.cli.data import data
from kinema.cli.demo import demo
from kinema.cli.doctor import doctor
from kinema.cli.eval import SpacedWeights, eval_scores
from kinema.cli.explain import explain
from kinema.cli.models import models
from kinema.cli.output import prepare_streams, print_lines, print_note
from kinema.cli.predict import EPILOG as PREDICT_EXAMPLES
from kinema.cli.predict import predict
from kinema.cli.pretrain import EPILOG as PRETRAIN_EXAMPLES
from kinema.cli.pretrain import pretrain
from kinema.cli.recipes import recipes
from kinema.cli.report import EPILOG as REPORT_EXAMPLES
from kinema.cli.report import SpacedModels, report
from kinema.cli.runs import runs
from kinema.cli.stream import EPILOG as STREAM_EXAMPLES
from kinema.cli.stream import stream
from kinema.cli.test import test
from kinema.cli.timeline import EPILOG as TIMELINE_EXAMPLES
from kinema.cli.timeline import timeline
from kinema.cli.train import EPILOG as TRAIN_EXAMPLES
from kinema.cli.train import train
from kinema.cli.tune import EPILOG as TUNE_EXAMPLES
from kinema.cli.tune import tune
from kinema.cli.validate import EPILOG as VALIDATE_EXAMPLES
from kinema.cli.validate import validate
from kinema.errors import ConfigProblemsError, KinemaError
from kinema.files import lacks_room
from kinema.peers import first_cause

LONGEST_ERROR = 4000  # characters
_CURES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "see to this user's rights there, or choose another place"),
    errno.EROFS: "nothing can be written there: choose another place",
    errno.EISDIR: "expected a file: move the folder away, or choose another place",
    errno.ENOTDIR: "a file is in the place of a folder: choose another place",
    errno.EMFILE: "raise the limit (ulimit -n)",
}

app = typer.Typer(
    name="kinema",
    help="Video action recognition: train, test and use a recognizer of your own clips.",
    epilog="An error is one line; --traceback shows where it came from.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
EXAMPLES = {
    train: TRAIN_EXAMPLES,
    validate: VALIDATE_EXAMPLES,
    pretrain: PRETRAIN_EXAMPLES,
    tune: TUNE_EXAMPLES,
    predict: PREDICT_EXAMPLES,
    config: CONFIG_EXAMPLES,
}
for command in (train, pretrain, validate, test, tune, predict, explain, models, recipes, config, runs, demo, doctor):
    app.command(epilog=EXAMPLES.get(command))(command)
app.command(epilog=TIMELINE_EXAMPLES)(timeline)
app.command(epilog=STREAM_EXAMPLES)(stream)
app.command("eval", cls=SpacedWeights)(eval_scores)
app.command("report", cls=SpacedModels, epilog=REPORT_EXAMPLES)(report)
app.add_typer(bench, name="bench")
app.add_typer(data, name="data")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kinema {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Video action recognition: train, test and use a recognizer of your own clips."""


def main() -> None:
    """Run the command line; an error becomes one line on stderr and exit status 1."""
    # Torch's threads would burn a core while they wait, which stalls training beside the processes
    # that read clips: with one core busy a step took 11 times as long. Read by OpenMP when torch is
    # imported, which is later.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Of several processes that end together, each would print a trace of torch's C++ code.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # Else the end of a command that has imported torch takes half a second of a core, for Python looks
    # for garbage once more in all that goes with the process.
    atexit.register(gc.freeze)
    prepare_streams()
    wants_traceback = "--traceback" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--traceback"]
    if _is_further_process() and arguments[:1] not in (["train"], ["pretrain"], ["demo"]):
        return
    try:
        app(arguments, prog_name="kinema")
    except Exception as error:
        cause = first_cause(error)
        if cause is None:  # another process shows what ended the run
            raise SystemExit(1) from None
        if wants_traceback:
            print_lines(traceback.format_exc(), to_stderr=True)
        if isinstance(cause, ConfigProblemsError):
            print_note(f"error: the config has {len(cause.problems)} problems:")
            for problem in cause.problems:
                print_note(f"  {_shortened(problem)}")
        else:
            print_note(_one_line(cause))
        raise SystemExit(1) from None


def _is_further_process() -> bool:
    """Did torchrun start this process beside a first one?

    Training is shared; all else would be done and printed by each.
    """
    return "WORLD_SIZE" in os.environ and os.environ.get("RANK", "0") != "0"


def _one_line(error: BaseException) -> str:
    if isinstance(error, KinemaError):
        return _shortened(f"error: {error}")  # one line, unless a name in it has a line break, which is shown as \\n
    text = _shortened(" ".join(str(error).split()))
    if isinstance(error, ValueError) and _is_raised_by(error, "kinema"):
        return f"error: {text}"
    if isinstance(error, OSError) and error.filename and error.strerror:
        cure = "free some room, or choose another place" if lacks_room(error) else _CURES.get(error.errno or 0)
        return f"error: {_shortened(str(error.filename))}: {error.strerror}{f': {cure}' if cure else ''}"
    return f"error: {type(error).__name__}: {text} (--traceback shows where)"


def _is_raised_by(error: BaseException, package: str) -> bool:
    """Was an error raised by a line of a package, not by a library or by code of the user?"""
    lines = list(traceback.walk_tb(error.__traceback__))
    return not lines or str(lines[-1][0].f_globals.get("__name__")).partition(".")[0] == package


def _shortened(text: str) -> str:
    """A message that holds a line of a file may be as long as the file; its end says what to do."""
    if len(text) <= LONGEST_ERROR:
        return text
    return f"{text[: LONGEST_ERROR - 500]} ... ({len(text):,} characters) ... {text[-500:]}"
