"""Run by tests/test_distributed.py in every process of a torchrun; the main process writes what it saw."""

import json
import sys
from pathlib import Path

from kinema import distributed


@distributed.main_process_only
def rank_if_main() -> int:
    return distributed.get_rank()


def main() -> None:
    joined = distributed.init_from_environment("gloo")
    rank = distributed.get_rank()
    seen = {
        "joined": joined and distributed.init_from_environment("gloo"),
        "rank": rank,
        "world": distributed.get_world_size(),
        "main": distributed.is_main_process(),
        "gathered": distributed.gather_objects({"rank": rank, "items": ["x"] * rank}),
        "from_0": distributed.broadcast_object(f"said by {rank}"),
        "from_1": distributed.broadcast_object(f"said by {rank}", source=1),
        "main_only": rank_if_main(),
    }
    distributed.barrier()
    Path(sys.argv[1], f"{rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
