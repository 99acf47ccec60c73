from pathlib import Path

import pytest
from test_distributed_training import on_two_processes


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_a_loop_of_the_users_exchanges_gradients_like_ours(tmp_path: Path, strategy: str) -> None:
    on_two_processes("torchrun_user_loops.py", tmp_path, strategy)
