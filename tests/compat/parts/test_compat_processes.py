from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_test_of_several_processes_passes_where_all_of_them_do(run_python) -> None:
    run = run_python(str(Path(__file__).with_name("processes_case.py")))
    assert run.returncode == 1
    assert "FAILED (failures=1)" in run.stderr, run.stderr
    assert "the processes ended with [0, 10]: see their errors above" in run.stderr
