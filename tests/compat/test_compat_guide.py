"""The twenty-minute guide, as printed."""

import subprocess
import sys
from pathlib import Path

import pytest

RUN_GUIDE = Path(__file__).parents[2].parent / "shared" / "spec" / "run_guide.py"


@pytest.mark.slow
@pytest.mark.skipif(not RUN_GUIDE.is_file(), reason="the guide is not beside the checkout")
def test_all_blocks_of_the_guide_run_and_print_what_it_says() -> None:
    run = subprocess.run([sys.executable, str(RUN_GUIDE)], capture_output=True, text=True, check=False)
    assert run.stdout.splitlines()[-1] == "12/12 blocks ran and printed what the guide says", run.stdout + run.stderr
    assert run.returncode == 0
