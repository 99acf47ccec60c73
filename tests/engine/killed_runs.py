"""Train a toy run of some kind, be killed at given places, resume each time, until it is done.

Usage: killed_runs.py FOLDER JOBS. JOBS is a JSON object, from a name to a pair `[case, kills]`. A
case is an object, see `config_of`; kills are a list of `[process, point, count]`: that process kills
itself (SIGKILL) when it reaches the point for the count-th time since it started. Points are those
of hooks, and "file": an operation on a file of the checkpoints, or on `metrics.jsonl`. A fourth
entry may hold what differs from the case until then. The runs work in FOLDER/NAME/killed; one that
nobody kills works in FOLDER/NAME/whole. Prints a JSON object: by name, for each kill, the step after
which the run started, and whether the kill came before the run was done; or a text: what failed.

Each run is forked from this process, which has imported everything but done nothing yet.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
import torch._dynamo  # optimizers import it with their first step, which takes seconds
import torch.distributed.checkpoint.state_dict
import torch.nn.functional as F
from free_ports import free_port
from toy_run import Pack, Points, ToyModel, run_config

from kinema.distributed import get_rank
from kinema.engine import Hook, Runner
from kinema.models import ActionDataPreprocessor

BLENDING = dict(
    type="RandomBatchAugment",
    augments=[dict(type="MixupBlending", num_classes=2, alpha=0.8)],
    probs=[0.8],
)


class BlendedModel(ToyModel):
    """The toy model, with dropout, on points that are blended, often, in the main process."""

    def __init__(self):
        super().__init__()
        self.data_preprocessor = ActionDataPreprocessor(blending=BLENDING)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode != "loss":
            return super().forward(list(inputs), data_samples, mode)
        labels = torch.stack([sample.gt_label for sample in data_samples])
        targets = labels if labels.is_floating_point() else labels[:, 0]
        return {"loss_cls": F.cross_entropy(self.layers(inputs), targets)}


class PlainModel(ToyModel):
    """The toy model without what depends on how many samples a process has, or on its random numbers."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))


MODELS = {"toy": ToyModel, "blended": BlendedModel, "plain": PlainModel}


class PackIndex(Pack):
    """Also hand the sample's index on."""

    def transform(self, results):
        sample = super().transform(results)
        sample["data_samples"].set_metainfo({"index": results["sample_idx"]})
        return sample


class NoteIndices(Hook):
    """Write down what was trained on: a line `[iteration, epoch, indices]` a batch and process."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        indices = [sample.metainfo["index"] for sample in data_batch["data_samples"]]
        with (runner.work_dir.parent / f"{runner.work_dir.name}_{get_rank()}.jsonl").open("a") as file:
            file.write(json.dumps([runner.progress.iteration, runner.epoch, indices]) + "\n")


class Kill(Hook):
    """Kill this process when it comes to a point for the count-th time."""

    priority = "LOWEST"

    def __init__(self, point, count):
        self.left = count
        setattr(self, point, self.strike)

    def strike(self, runner, **arguments):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_at_file(work_dir, count):
    """Kill this process at its count-th operation on a file of the run."""
    left, watched = count, (f"{work_dir}/checkpoints/", f"{work_dir}/metrics")

    def audit(event, arguments):
        nonlocal left
        if event not in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree"):
            return
        path = arguments[0]
        if isinstance(path, str | os.PathLike) and str(path).startswith(watched):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)


def config_of(work_dir, case, hooks=()):
    """The config of a case.

    Args:
        case: what differs from 3 epochs in one process with SGD in float32; any of `length` (of
            `train_cfg`), `save`, `workers`, `persistent`, `precision`, `accumulate`, `ema`,
            `sampler`, `optimizer`, `asynchronous`, `batch_size`, `val_interval`, `samples`, `model`,
            `strategy`.
    """
    config = run_config(work_dir, resume=True, model=dict(type=MODELS[case.get("model", "toy")]))
    workers = dict(num_workers=case.get("workers", 0), persistent_workers=case.get("persistent", False))
    config["train_dataloader"] |= dict(
        batch_size=case.get("batch_size", 4),
        sampler=dict(type=case.get("sampler", "DefaultSampler"), shuffle=True),
        dataset=dict(type=Points, count=case.get("samples", 48), pipeline=[dict(type=PackIndex)]),
        **workers,
    )
    config["val_dataloader"] |= workers
    config["train_cfg"] = dict(case.get("length", dict(max_epochs=3)), val_interval=case.get("val_interval", 1))
    config["optim_wrapper"] = dict(
        optimizer=dict(case.get("optimizer", dict(type="SGD", lr=0.1, momentum=0.9))),
        accumulative_counts=case.get("accumulate", 1),
    )
    config["precision"] = case.get("precision", "fp32")
    config["strategy"] = case.get("strategy", "auto")
    config["default_hooks"] = dict(
        logger=dict(interval=1),
        checkpoint=dict(
            interval=case.get("save", "2steps"), max_keep_ckpts=2, asynchronous=case.get("asynchronous", False)
        ),
    )
    averages = [dict(type="EMAHook", momentum=0.1, **case["ema"])] if "ema" in case else []
    config["custom_hooks"] = [*averages, NoteIndices(), *hooks]
    config["log_level"] = "WARNING"
    return config


def train(work_dir, case, kill=None):
    """Train in this process, which is killed at `kill`, a point and a count."""
    torch.set_num_threads(1)
    hooks = []
    if kill is not None:
        point, count = kill
        if point == "file":
            kill_at_file(work_dir, count)
        else:
            hooks = [Kill(point, count)]
    Runner.from_cfg(config_of(work_dir, case, hooks)).train()


def start(work_dir, case, kill=None):
    """Fork the processes of a run; returns their ids by rank."""
    port, world_size = free_port(), case.get("processes", 1)
    processes = []
    for rank in range(world_size):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if world_size > 1:
                    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world_size))
                    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
                train(work_dir, case, kill[1:] if kill and kill[0] == rank else None)
                status = 0
            except BaseException as error:
                print(f"process {rank} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            finally:
                if status == 0 and world_size > 1:
                    torch.distributed.destroy_process_group()
                os._exit(status)
        processes.append(child)
    return processes


def run(work_dir, case, kill=None):
    """Run until the end or the kill; is it done?

    Where a process was killed the others are, too: they would wait for it.
    """
    processes = start(work_dir, case, kill)
    left = dict.fromkeys(processes)
    while left:
        process, status = os.wait()
        del left[process]
        if os.WEXITSTATUS(status) and kill and processes[kill[0]] in left:
            # One that is killed ends the others, and they may be seen first. It would not wait for them here.
            _, end = os.waitpid(processes[kill[0]], 0)
            del left[processes[kill[0]]]
            status = end if os.WIFSIGNALED(end) else status
        if status:
            for other in left:
                os.kill(other, signal.SIGKILL)
                os.waitpid(other, 0)
        if os.WIFSIGNALED(status):
            return False
        if status:
            raise RuntimeError(f"a run failed with {os.WEXITSTATUS(status)}, to be killed at {kill}")
    return True


def newest_step(work_dir):
    """The step of the newest checkpoint; 0: there is none."""
    return max((int(folder.name[5:]) for folder in (work_dir / "checkpoints").glob("step_*")), default=0)


def do(folder, case, kills):
    """One of the jobs."""
    report = []
    for rank, point, count, *changes in kills:
        before = newest_step(folder / "killed")
        is_done = run(folder / "killed", case | (changes[0] if changes else {}), (rank, point, count))
        report.append([before, not is_done])
    if not (run(folder / "killed", case) and run(folder / "whole", case)):
        raise RuntimeError("a run was killed by somebody else")
    return report


def main():
    reports = {}
    for name, (case, kills) in json.loads(sys.argv[2]).items():
        try:
            reports[name] = do(Path(sys.argv[1]) / name, case, kills)
        except RuntimeError as error:
            reports[name] = str(error)
    print(json.dumps(reports))


if __name__ == "__main__":
    main()
