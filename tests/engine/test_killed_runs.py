"""A run that is killed again and again, anywhere, ends with the weights and figures of one that is not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kinema.checkpoints.unpickling import load_restricted
from kinema.datasets.synthetic import make_motion_dataset
from kinema.parallel.shards import can_shard

HERE = Path(__file__).parent
ADAM = dict(type="AdamW", lr=0.01)
SHARDED = "fsdp2" if can_shard(torch.device("cpu")) else "ddp"  # torch 2.6 shards models on GPUs only

# Every value of every option, and every pair of processes, workers and precisions.
CASES = {
    "plain": {},
    "accumulated": dict(accumulate=3, workers=2, ema={}, precision="bf16", save="1steps"),
    "scaled": dict(precision="fp16", accumulate=3, model="blended", optimizer=ADAM, save="1steps"),
    "by steps": dict(length=dict(max_steps=30), workers=2, persistent=True, model="blended", val_interval=15),
    "without end": dict(
        length=dict(max_iters=36), sampler="InfiniteSampler", ema=dict(update_buffers=True), val_interval=12
    ),
    "in a thread": dict(asynchronous=True, save="1steps", model="blended", optimizer=ADAM, precision="bf16"),
    "two": dict(processes=2, model="blended", ema={}, accumulate=3, save="1steps"),
    "two, scaled": dict(
        processes=2, precision="fp16", workers=2, persistent=True, length=dict(max_steps=30), val_interval=12
    ),
    "two, sharded": dict(
        processes=2, strategy=SHARDED, precision="bf16", workers=2, accumulate=3, optimizer=ADAM, ema={}, save="1steps"
    ),
}


def run(folder, jobs):
    """Train, be killed and resume; returns the reports of `killed_runs.py` by the names of the jobs."""
    command = [sys.executable, HERE / "killed_runs.py", folder, json.dumps(jobs)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=1800, env=environment
    )
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr, result.stderr
    print(result.stderr)  # what failed, where a report is a text
    return json.loads(result.stdout)


def kills_of(case, seed):
    """Where to kill the runs of a case: at the first batch, thrice within an epoch, while it validates and saves."""
    generator = random.Random(seed)
    processes, accumulate = case.get("processes", 1), case.get("accumulate", 1)
    points = [("before_train_iter", 1)]
    # Behind one checkpoint, within the next window: three of these are within one epoch.
    saved = accumulate if case.get("save") == "1steps" else 2 * accumulate
    points += [("after_train_iter", saved + generator.randint(1, accumulate)) for _ in range(3)]
    points += [("before_val_iter", 1), ("after_val_iter", 2), ("before_save_checkpoint", generator.randint(1, 4))]
    points += [("file", generator.randint(1, 60)) for _ in range(3)]
    # Only the main process writes files.
    return [[0 if point == "file" else generator.randrange(processes), point, count] for point, count in points]


def checkpoint_of(work_dir, name=None):
    """Everything in a checkpoint, the last one without a name, but for what tells the time and what killed."""
    folder = work_dir / "checkpoints" / (name or (work_dir / "checkpoints" / "last").read_text().strip())
    state = load_restricted(folder / "training.pt").content
    state["parts"]["progress"].pop("seconds")
    state["parts"].pop("hook.Kill", None)
    return {"name": folder.name, "weights": load_file(folder / "model.safetensors"), "state": state}


def figures(work_dir):
    lines = [json.loads(line) for line in (work_dir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def differences(actual, expected, where=""):
    """Where two nested values differ; tensors must be equal bit for bit."""
    if isinstance(expected, torch.Tensor):
        return [] if torch.equal(actual, expected) else [where]
    if isinstance(expected, dict):
        if list(map(str, actual)) != list(map(str, expected)):
            return [f"{where}: keys {list(actual)} for {list(expected)}"]
        return [entry for key in expected for entry in differences(actual[key], expected[key], f"{where}.{key}")]
    if isinstance(expected, list | tuple):
        if len(actual) != len(expected):
            return [f"{where}: {len(actual)} for {len(expected)}"]
        pairs = enumerate(zip(actual, expected, strict=True))
        return [entry for place, pair in pairs for entry in differences(*pair, f"{where}.{place}")]
    return [] if actual == expected else [f"{where}: {actual} for {expected}"]


def assert_same(folder):
    killed, whole = folder / "killed", folder / "whole"
    assert checkpoint_of(killed)["name"] == checkpoint_of(whole)["name"]
    for name in sorted(folder.name for folder in (whole / "checkpoints").glob("step_*")):
        assert differences(checkpoint_of(killed, name), checkpoint_of(whole, name)) == []
    assert figures(killed) == figures(whole)
    steps = [line["step"] for line in figures(killed) if line["split"] == "train"]
    assert steps == list(range(1, max(steps) + 1))
    assert names(killed) == names(whole)


@pytest.mark.slow
def test_a_run_that_is_killed_thrice_within_an_epoch_ends_as_one_that_is_not(tmp_path):
    case = dict(length=dict(max_epochs=1), ema={}, accumulate=3, save="1steps")
    kills = [[0, "after_train_iter", 5], [0, "after_train_iter", 4], [0, "before_train_iter", 6]]
    assert run(tmp_path, {"job": [case, kills]}) == {"job": [[0, True], [1, True], [2, True]]}
    assert_same(tmp_path / "job")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_run_that_is_killed_anywhere_ends_as_one_that_is_not(tmp_path, name):
    case = dict(batch_size=4 // CASES[name].get("processes", 1)) | CASES[name]
    report = run(tmp_path, {"job": [case, kills_of(case, list(CASES).index(name))]})["job"]
    assert sum(was_killed for _, was_killed in report) >= len(report) - 2, report
    if not case.get("asynchronous"):
        starts = [start for start, _ in report[1:4]]
        assert len(set(starts)) == 3, "each from another checkpoint"
        assert max(starts) < 12 / case.get("accumulate", 1), "all within the first epoch"
    assert_same(tmp_path / "job")


@pytest.mark.slow
@pytest.mark.parametrize("in_thread", [False, True])
def test_a_run_that_is_killed_between_any_two_operations_on_its_files_ends_as_one_that_is_not(tmp_path, in_thread):
    case = dict(ema={}, save="1steps", length=dict(max_epochs=5), asynchronous=in_thread)
    report = run(tmp_path, {"job": [case, [[0, "file", count] for count in range(1, 45)]]})["job"]
    assert sum(was_killed for _, was_killed in report) > 40, report
    assert_same(tmp_path / "job")


@pytest.mark.slow
@pytest.mark.parametrize("samples", [23, 24])
def test_two_processes_then_one_then_two_train_on_each_sample_once_as_two_do(tmp_path, samples):
    case = dict(processes=2, batch_size=2, save="1steps", length=dict(max_epochs=2), model="plain", ema={})
    legs = [
        [0, "before_train_iter", 3, dict(processes=2, batch_size=2)],
        [0, "before_train_iter", 2, dict(processes=1, batch_size=4)],
        [1, "before_train_iter", 2, dict(processes=2, batch_size=2)],
    ]
    report = run(tmp_path, {"job": [case | dict(samples=samples), legs]})["job"]
    assert [start for start, _ in report] == [0, 2, 3]
    actual, expected = (steps_of(tmp_path / "job", name) for name in ("killed", "whole"))
    assert actual == expected
    for epoch in (0, 1):
        indices = [index for of, batch in expected for index in batch if of == epoch]
        assert sorted(indices[:samples]) == list(range(samples))
        assert len(indices) == samples + samples % 2
    if samples % 2 == 0:
        assert_weights_near(tmp_path / "job")


def assert_weights_near(folder):
    """Weights of both runs agree to float tolerance: sums over other numbers of processes are rounded otherwise."""
    actual, expected = (checkpoint_of(folder / name) for name in ("killed", "whole"))
    for name, value in expected["weights"].items():
        torch.testing.assert_close(actual["weights"][name], value, rtol=1e-5, atol=1e-6)


def steps_of(folder, name):
    """Epoch and samples of every step, those of all processes in the order of their places."""
    notes = []
    for rank in (0, 1):
        lines = map(json.loads, (folder / f"{name}_{rank}.jsonl").read_text().splitlines())
        notes.append({iteration: rest for iteration, *rest in lines})  # what a resumed run repeats replaces the first
    steps = []
    for iteration, (epoch, indices) in sorted(notes[0].items()):
        shares = [indices, *([notes[1][iteration][1]] if len(indices) < 4 and iteration in notes[1] else [])]
        steps.append([epoch, [index for share in zip(*shares, strict=True) for index in share]])
    return steps


# ---- the command, on clips


def start_command(folder, name):
    """`kinema train` on the clips of a folder, a checkpoint a step."""
    command = [
        *(sys.executable, "-m", "kinema", "train", folder / "clips", "--work-dir", folder / name, "--seed", "3"),
        *("--epochs", "1", "--batch-size", "4", "--workers", "1", "--save-every", "1steps", "--device", "cpu"),
        *("--resume", "--set", "default_hooks.logger.interval=1"),
    ]
    with (folder / f"{name}.log").open("a") as log:
        return subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, cwd=folder)


@pytest.mark.slow
def test_a_training_on_clips_that_is_killed_thrice_within_its_epoch_ends_as_one_that_is_not(tmp_path):
    make_motion_dataset(tmp_path / "clips", num_train=320, num_val=8)
    generator, killed = random.Random(0), tmp_path / "killed"
    starts = []
    for _ in range(3):
        starts.append(newest_step(killed))
        process = start_command(tmp_path, "killed")
        while newest_step(killed) == starts[-1] and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.1 * generator.random())  # a step takes 30 ms on a fast machine, and there are 80
        process.kill()  # its processes that read clips live a little longer
        assert process.wait() == -signal.SIGKILL, (tmp_path / "killed.log").read_text()
    assert len(set(starts)) == 3, starts
    for name in ("killed", "whole"):
        assert start_command(tmp_path, name).wait() == 0, (tmp_path / f"{name}.log").read_text()
    assert_same(tmp_path)


def newest_step(work_dir):
    """The step of the newest checkpoint; 0: there is none."""
    return max((int(folder.name[5:]) for folder in (work_dir / "checkpoints").glob("step_*")), default=0)
