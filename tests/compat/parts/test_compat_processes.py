from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_test_of_several_processes_passes_where_all_of_them_do(run_python) -> None:
    run = run_python(str(Path(__file__).with_name("processes_case.py")))
    assert run.returncode == 1
    assert "FAILED (failures=1)" in run.stderr, run.stderr
    assert "the processes ended with [0, 10]: see their errors above" in run.stderr


@pytest.mark.slow
def test_the_model_of_a_run_on_two_processes_is_the_module_of_what_wraps_it(run_python, tmp_path: Path) -> None:
    script = Path(__file__).with_name("torchrun_wrapped_model.py")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run = run_python(*launcher, str(script), str(tmp_path))
    assert run.returncode == 0, run.stderr
