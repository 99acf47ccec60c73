import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch.distributed as dist
from free_ports import free_port

from kinema import peers
from kinema.peers import SILENT_INTERVALS, PeerWatch, first_cause

SCRIPT = Path(__file__).parent / "peers_run.py"


@pytest.fixture
def watches(monkeypatch: pytest.MonkeyPatch) -> list[PeerWatch]:
    """Three processes of a run in this one, which look when the test says so."""
    monkeypatch.setattr(peers, "INTERVAL_SECONDS", 0.01)
    store = dist.HashStore()
    watches = [PeerWatch(store, rank, 3) for rank in range(3)]
    for watch in watches:
        store.set(f"process/{watch.rank}", "\n".join(peers._identity()))
    return watches


def test_one_of_the_processes_that_fail_is_the_first(watches: list[PeerWatch]) -> None:
    assert not watches[0]._look()
    assert [watch.claim() for watch in (watches[1], watches[0], watches[2])] == [True, False, False]
    assert not watches[1].claim()  # once a process, whichever of its threads saw the failure
    assert all(watch._look() for watch in watches)


def test_a_process_of_this_machine_that_ended_is_lost_at_once(watches: list[PeerWatch], capsys) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        space, host, _, _ = peers._identity()
        started = peers._started(process.pid)
        watches[0].store.set("process/1", "\n".join([space, host, str(process.pid), started]))
        assert watches[0].lost(wait=False) == []
        process.kill()
        process.wait()
        assert not watches[1]._look()  # which looks after process 2
        assert watches[0]._look()
    error = capsys.readouterr().err
    assert re.match(rf"error: process 1 of 3 \(pid {process.pid} on .*\) ended without an error: killed", error)
    assert not watches[2].claim()


def test_a_process_of_another_machine_is_lost_after_a_long_silence(watches: list[PeerWatch]) -> None:
    watches[0].store.set("process/1", "another machine\nhost\n1\n1")
    watches[1]._look()
    looks = [watches[0]._look() for _ in range(SILENT_INTERVALS + 1)]
    assert looks == [False] * SILENT_INTERVALS + [True]


def test_a_sign_of_life_ends_a_silence(watches: list[PeerWatch]) -> None:
    watches[0].store.set("process/1", "another machine\nhost\n1\n1")
    for _ in range(3):
        watches[1]._look()
        assert not any(watches[0]._look() for _ in range(SILENT_INTERVALS))
    assert watches[0].lost() == [1, 2]  # which gave none while it was waited for; they are in this process


def test_a_process_that_left_is_not_lost(watches: list[PeerWatch]) -> None:
    watches[0].store.set("process/1", "another machine\nhost\n1\n1")
    watches[1]._look()
    watches[1].leave()
    assert not any(watches[0]._look() for _ in range(2 * SILENT_INTERVALS))


def test_the_process_that_keeps_the_store_waits_until_the_others_know(watches: list[PeerWatch]) -> None:
    assert not watches[0]._others_know()
    watches[0].claim()
    watches[1]._look()  # sees the failure
    watches[1].store = None  # which is gone soon
    assert not watches[1].claim()
    assert not watches[0]._others_know()
    watches[2].leave()
    assert watches[0]._others_know()


def test_an_error_of_one_process_is_shown_as_it_is() -> None:
    error = RuntimeError("gloo: Connection closed by peer")
    assert first_cause(error) is error


def test_who_this_process_is() -> None:
    space, host, pid, started = peers._identity()
    assert (host, int(pid)) == (socket.gethostname(), os.getpid())
    assert space
    assert int(started) > 0
    assert peers._started(2**22 + 1) == ""


# ---- two processes, without torchrun, which would end them itself


def run(what: str, rank: int) -> tuple[list[int], str]:
    """Exit statuses, and what both wrote."""
    environ = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    environ |= {"TORCH_CPP_LOG_LEVEL": "ERROR", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), what, str(rank)]
    processes = [
        subprocess.Popen(command, env=environ | {"RANK": str(own)}, stderr=subprocess.PIPE, text=True)
        for own in range(2)
    ]
    try:
        errors = [process.communicate(timeout=600)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], "".join(errors)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1, -1])
def test_an_error_ends_all_processes_and_is_shown_once(rank: int) -> None:
    statuses, errors = run("fail", rank)
    assert statuses == [1, 1]
    assert errors.count("Traceback") == errors.count("ConfigError: the first cause") == 1


@pytest.mark.slow
@pytest.mark.parametrize("what", ["kill", "kill beside work"])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_other(what: str, rank: int) -> None:
    statuses, errors = run(what, rank)
    assert statuses == ([-9, 1] if rank == 0 else [1, -9])
    (line,) = errors.splitlines()
    assert re.match(rf"error: (process {rank} of 2|the connection to process 0 is lost)", line)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_may_stay_longer_than_the_other(rank: int) -> None:
    assert run("stay", rank) == ([0, 0], "")
