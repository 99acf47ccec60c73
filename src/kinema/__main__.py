"""The command `kinema`, also as `python -m kinema`."""

import os
import signal
from types import FrameType

STOPPED = 128 + signal.SIGINT  # exit status of a program that Ctrl-C ended


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, also while it is being imported."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # in a background job of a shell it is ignored
        signal.signal(signal.SIGINT, _leave)
    from kinema.cli.main import main as run

    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, handler)
    try:
        run()
    except KeyboardInterrupt:
        raise SystemExit(STOPPED) from None


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(STOPPED)  # nothing is open yet


if __name__ == "__main__":
    main()
