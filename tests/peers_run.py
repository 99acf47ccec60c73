"""Run in every process of a distributed run by tests/test_peers.py.

Usage: peers_run.py WHAT RANK: process RANK (-1: each) does WHAT, the others wait for it in an exchange.
"""

import os
import signal
import sys
import time

from kinema.distributed import barrier, get_rank, init_from_environment
from kinema.errors import ConfigError
from kinema.peers import INTERVAL_SECONDS

ALL = -1


def main() -> None:
    what, chosen = sys.argv[1], int(sys.argv[2])
    init_from_environment("gloo", timeout_seconds=200)
    barrier()
    own = get_rank() == chosen
    if what == "fail" and (own or chosen == ALL):
        raise ConfigError("the first cause")
    if what == "kill" and own:
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "kill beside work":  # the other process is in no exchange
        if own:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(300)
    if what == "stay":  # longer than the other process, and the store that it keeps
        time.sleep(2 * INTERVAL_SECONDS + 3 if own else 0)
    else:
        barrier()


if __name__ == "__main__":
    main()
