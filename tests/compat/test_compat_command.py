import pytest

from kinema.compat.__main__ import main


def test_a_script_runs_as_the_main_program_with_the_shim(tmp_path, run_python) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "neighbour.py").write_text("from mmengine.registry import MODELS\n")
    (tmp_path / "scripts" / "train.py").write_text(
        "import logging, sys\n"
        "import mmengine, neighbour\n"
        "assert __name__ == '__main__' and sys.modules['__main__'].neighbour is neighbour\n"
        "mmengine.MMLogger.get_instance('mmengine').info('shown')\n"
        "print(sys.argv, __file__)\n"
        "sys.exit(3)\n"
    )
    run = run_python("-m", "kinema.compat", "scripts/train.py", "--epochs", "3")
    shown, arguments = run.stdout.splitlines()
    assert shown.endswith(" - mmengine - INFO - shown")
    assert arguments == "['scripts/train.py', '--epochs', '3'] scripts/train.py"
    assert run.returncode == 3


def test_a_module_runs_with_the_shim(tmp_path, run_python) -> None:
    (tmp_path / "mytool.py").write_text("import sys, mmcv\nprint(sys.argv[1:], mmcv.__kinema__, __name__)\n")
    run = run_python("-m", "kinema.compat", "-m", "mytool", "-x", "1")
    assert run.stdout == "['-x', '1'] True __main__\n", run.stderr


def test_what_is_refused_is_one_line_that_names_the_place_in_the_script(tmp_path, run_python) -> None:
    (tmp_path / "train.py").write_text("from mmengine import Config\nConfig.fromfile('missing.py')\n")
    run = run_python("-m", "kinema.compat", "train.py")
    assert run.returncode == 1
    assert run.stderr == (
        f"error: {tmp_path / 'missing.py'}: there is no such config file"
        " (from train.py:2; python -m kinema.compat --traceback ... shows all calls)\n"
    )
    run = run_python("-m", "kinema.compat", "--traceback", "train.py")
    assert "Traceback" in run.stderr
    (tmp_path / "train.py").write_text("1 / 0\n")
    assert "Traceback" in run_python("-m", "kinema.compat", "train.py").stderr


@pytest.mark.slow
@pytest.mark.parametrize("start_method", ["spawn", "forkserver", "fork"])
def test_a_scripts_own_classes_reach_worker_processes(tmp_path, run_python, start_method: str) -> None:
    (tmp_path / "train.py").write_text(
        "from mmengine.dataset import BaseDataset\n"
        "from torch.utils.data import DataLoader\n"
        "class Numbers(BaseDataset):\n"
        "    def load_data_list(self):\n"
        "        return [dict(value=i) for i in range(4)]\n"
        "if __name__ == '__main__':\n"
        "    loader = DataLoader(Numbers(), num_workers=1, batch_size=None,\n"
        f"                        multiprocessing_context={start_method!r})\n"
        "    print([sample['value'] for sample in loader])\n"
    )
    run = run_python("-m", "kinema.compat", "train.py")
    assert run.stdout.strip() == "[0, 1, 2, 3]", run.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.py"], "kinema.compat: there is no file missing.py\n"),
        (["-m"], "kinema.compat: -m needs the name of a module\n"),
    ],
)
def test_a_missing_script_is_one_line_and_status_2(arguments, message, capsys) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == message


def test_a_shell_script_is_refused_by_a_line_that_says_what_to_start(tmp_path, capsys) -> None:
    script = tmp_path / "dist_train.sh"
    script.write_text("CONFIG=$1\n")
    assert main([str(script), "config.py", "2"]) == 2
    assert (
        "is a shell script: start the Python file that it names, on N processes by `torchrun" in capsys.readouterr().err
    )


@pytest.mark.usefixtures("shim")
@pytest.mark.parametrize("module", ["not_there_at_all", "not_there.at_all"])
def test_a_missing_module_is_one_line_and_status_2(module, capsys) -> None:
    assert main(["-m", module]) == 2
    assert capsys.readouterr().err == f"kinema.compat: there is no module {module}\n"


def test_help_shows_both_forms_and_nothing_to_run_is_wrong_usage(capsys) -> None:
    assert main(["--help"]) == 0
    assert "python -m kinema.compat [--traceback] -m MODULE [ARGS ...]" in capsys.readouterr().out
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: ")
