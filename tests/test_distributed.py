import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from group_of_one import group_of_one
from kinema import distributed
from kinema.distributed import choose_device
from kinema.errors import ConfigError

SCRIPT = Path(__file__).parent / "torchrun_services.py"


def test_one_process_needs_no_process_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    thing = object()
    assert distributed.init_from_environment() is False
    assert (distributed.get_rank(), distributed.get_world_size()) == (0, 1)
    assert distributed.is_main_process()
    assert distributed.gather_objects(thing) == [thing]
    assert distributed.broadcast_object(thing) is thing
    distributed.barrier()


def test_a_group_of_one_process_exchanges_nothing(tmp_path: Path) -> None:
    with group_of_one(tmp_path):
        thing = lambda: None  # noqa: E731 - cannot be pickled
        assert distributed.gather_objects(thing) == [thing]
        assert distributed.broadcast_object(thing) is thing


def test_a_process_leaves_its_group_before_the_interpreter_ends() -> None:
    script = (
        "import atexit, sys, torch.distributed as dist\natexit.register(lambda: print('in a group' if"
        " dist.is_initialized() else 'left'))\nfrom kinema.distributed import"
        " init_from_environment\nprint('joined' if init_from_environment('gloo') else"
        " 'alone')\nsys.setswitchinterval(100)  # whoever waits for the interpreter gets it when this thread waits, and"
        " not before\ndist.all_gather_object([None], 'the thread of this exchange is still busy')\n"
    )
    alone = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, env=os.environ | alone, capture_output=True, text=True, timeout=600)
    assert (run.returncode, run.stdout.splitlines()) == (0, ["joined", "left"]), run.stderr


def test_main_process_only_runs_the_function_and_keeps_its_name() -> None:
    @distributed.main_process_only
    def double(x: int) -> int:
        """Twice."""
        return 2 * x

    assert double(4) == 8
    assert (double.__name__, double.__doc__) == ("double", "Twice.")


@pytest.mark.slow
def test_two_processes_see_each_other(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", SCRIPT, tmp_path]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == {
            "joined": True,
            "rank": rank,
            "world": 2,
            "main": rank == 0,
            "gathered": [{"rank": 0, "items": []}, {"rank": 1, "items": ["x"]}],
            "from_0": "said by 0",
            "from_1": "said by 1",
            "main_only": 0 if rank == 0 else None,
        }


def test_a_device_without_a_number_is_the_one_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "63")
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("auto", "cuda"):
        with pytest.raises(ConfigError, match="the device 'cuda:63' cannot be used here: "):
            choose_device(name)


@pytest.mark.slow
def test_a_process_0_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # where nobody answers
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        place = {
            "RANK": "1",
            "WORLD_SIZE": "2",
            "LOCAL_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        for name, value in place.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ConfigError, match=rf"process 1 of 2 cannot reach process 0 at 127\.0\.0\.1:{port}: "):
            distributed.init_from_environment("gloo", timeout_seconds=1)


def test_a_backend_that_torch_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", "1")
    with pytest.raises(ConfigError, match="torch has no backend 'smoke' here, by which processes could communicate"):
        distributed.init_from_environment("smoke")


def test_a_run_joins_its_processes_as_the_config_says() -> None:
    script = (
        "import torch.distributed as dist\nfrom kinema.distributed import init_from_environment\n"
        "init_from_environment('NCCL', device='cpu', timeout_seconds=7, port=0)\n"
        "group = dist.distributed_c10d._get_default_group()\n"
        "print(dist.get_backend(), group._get_backend(__import__('torch').device('cpu')).options._timeout)\n"
    )
    alone = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": ""}
    run = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | alone, capture_output=True, text=True, timeout=600
    )
    assert (run.returncode, run.stdout.split()) == (0, ["gloo", "0:00:07"]), run.stderr


def test_each_process_has_a_gpu_of_its_own() -> None:
    for device in ("auto", "cuda", "cuda:1"):
        distributed.check_own_gpu(1, 2, device)
    with pytest.raises(ConfigError, match=r"process 2 of this machine has no GPU: it sees 2; .*--nproc-per-node 2"):
        distributed.check_own_gpu(2, 2)
    with pytest.raises(ConfigError, match="the device 'cuda:0' is not the GPU of process 1 of this machine: with sev"):
        distributed.check_own_gpu(1, 2, "cuda:0")
