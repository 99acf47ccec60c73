"""Training on a device: the same tests for the CPU and, where there is one, for a GPU."""

import copy
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from host_waits import no_waits
from safetensors.torch import load_file
from toy_run import Pack, Points, ToyModel, run_config, same

import kinema
from kinema.checkpoints.store import read_training_state
from kinema.datasets import build_dataloader
from kinema.datasets.synthetic import make_motion_dataset
from kinema.distributed import choose_device
from kinema.engine import Runner, TrainStep, Window, build_optim_wrapper
from kinema.hooks.checkpointing import copied
from kinema.models.layers.cpu_convolution import best_layout
from kinema.optim import Precision
from kinema.structures import ActionDataSample

HERE = Path(__file__).parent
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1")


def clips_of(count=4, num_classes=3):
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randint(256, (1, 3, 4, 32, 32), dtype=torch.uint8, generator=generator) for _ in range(count)]
    return {
        "inputs": inputs,
        "data_samples": [ActionDataSample().set_gt_label(n % num_classes) for n in range(count)],
    }


def compact_on(device, seed=0):
    torch.manual_seed(seed)
    model = kinema.create_model("compact3d", num_classes=3)
    model.cls_head.dropout.p = 0.0  # drawn by the device
    return model.to(device)


def step_of(model, precision=None):
    optimizer = dict(type="SGD", lr=0.01, momentum=0.9)
    return TrainStep(model.train(), build_optim_wrapper(model, dict(optimizer=optimizer), precision))


def losses_of(step, batch, count=4):
    return [float(step(batch, Window())["loss"]) for _ in range(count)]


# ---- what "auto" chooses


@pytest.mark.gpu
def test_auto_is_the_first_gpu_and_the_precision_that_it_computes_in() -> None:
    device = choose_device("auto")
    assert device == torch.device("cuda", 0)
    best = "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    assert Precision("auto", device).name == best


@pytest.mark.gpu
def test_a_run_on_auto_is_on_the_gpu_in_its_precision(tmp_path) -> None:
    runner = Runner.from_cfg(run_config(tmp_path, device="auto", precision="auto", epochs=1))
    runner.train()
    assert {value.device.type for value in runner.model.state_dict().values()} == {"cuda"}
    assert runner.train_step.optim_wrapper.precision.name in ("bf16", "fp16")
    assert json.loads((tmp_path / "summary.json").read_text())["device"].startswith("cuda")


# ---- precision, layout, memory


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_a_step_in_mixed_precision_is_near_one_in_float32(device, name) -> None:
    batch, losses = clips_of(), {}
    for precision in (Precision("fp32", device), Precision(name, device)):
        model = compact_on(device)
        losses[precision.name] = losses_of(step_of(model, precision), batch)
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert losses[name] == pytest.approx(losses["fp32"], abs=0.1)
    assert losses[name][-1] < losses[name][0]


def test_fp16_leaves_updates_out_that_overflow_and_scales_less(device) -> None:
    model = compact_on(device)
    precision = Precision("fp16", device, scaler=dict(init_scale=2.0**40))
    before = copy.deepcopy(model.state_dict())
    step = step_of(model, precision)
    step(clips_of(), Window())
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    assert precision.state_dict()["scale"] == 2.0**39


def test_a_model_in_channels_last_computes_the_same(device, monkeypatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    model = compact_on(device)
    last = copy.deepcopy(model).to(memory_format=torch.channels_last_3d)
    losses = [losses_of(step_of(each), clips_of()) for each in (model, last)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


@pytest.mark.gpu
def test_the_layout_of_the_user_stays_on_a_gpu() -> None:
    clips = torch.zeros(1, 3, 2, 4, 4, device="cuda")
    assert best_layout(clips, torch.nn.Identity()) == torch.preserve_format


@pytest.mark.gpu
def test_the_memory_of_a_step_does_not_grow() -> None:
    step, batch, peaks, held = step_of(compact_on("cuda"), Precision("auto", "cuda")), clips_of(), [], []
    for number in range(12):
        torch.cuda.reset_peak_memory_stats()
        logs = step(batch, Window())
        del logs
        if number >= 3:  # momentum, the handles of libraries and cuDNN's choices are there
            peaks.append(torch.cuda.max_memory_allocated())
            held.append(torch.cuda.memory_allocated())
    assert len(set(held)) == 1
    assert max(peaks) == peaks[0]


# ---- copies


@pytest.mark.gpu
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_that_pins_gives_pinned_batches_which_nobody_waits_for(workers) -> None:
    config = dict(batch_size=6, pin_memory=True, num_workers=workers, dataset=Points(pipeline=[Pack()]))
    loader, model = build_dataloader(config, seed=1), ToyModel().cuda()
    for batch in loader:
        assert all(point.is_pinned() for point in batch["inputs"])
        with no_waits("cuda"):
            moved = model.data_preprocessor(batch, True)
        assert torch.equal(torch.stack(moved["inputs"]).cpu(), torch.stack(batch["inputs"]))


def test_the_copy_for_a_checkpoint_is_of_the_moment(device) -> None:
    weights = {"layer": [torch.ones(1000, device=device)], "count": 3}
    if device == "cuda":
        torch.cuda._sleep(10**8)
    weights["layer"][0].mul_(2)  # queued before the copy
    copy_of = copied(weights)
    weights["layer"][0].mul_(5)  # and behind it
    assert copy_of["layer"][0].device.type == "cpu"
    assert torch.equal(copy_of["layer"][0], torch.full((1000,), 2.0))
    assert copy_of["count"] == 3


# ---- runs


def started(*arguments):
    command = [sys.executable, *arguments]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, result.stderr
    return result


def last_checkpoint(run):
    return run / "checkpoints" / (run / "checkpoints" / "last").read_text().strip()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "precisions", "launcher"),
    [
        ("auto", ("fp32", "bf16", "fp16"), ()),
        ("ddp", ("bf16",), TORCHRUN),
        ("fsdp2", ("bf16",), TORCHRUN),
    ],
    ids=["one process", "ddp", "fsdp2"],
)
def test_a_run_stopped_within_an_epoch_resumes_exactly(tmp_path, device, strategy, precisions, launcher) -> None:
    """Dropout by the generator of the device, deterministic algorithms; under torchrun with NCCL on a GPU."""
    started(*launcher, HERE / "device_runs.py", tmp_path, device, strategy, *precisions)
    for folder in (tmp_path / precision for precision in precisions):
        seen = json.loads((folder / "seen.json").read_text())
        assert (seen["device"], seen["stopped"]) == (device, [1, 1])
        if launcher:
            assert (seen["strategy"], seen["backend"]) == (strategy, "nccl" if device == "cuda" else "gloo")
        assert seen["metrics"][0] == seen["metrics"][1]
        check_both_runs(folder, device)


def check_both_runs(folder: Path, device: str) -> None:
    whole, parts = (last_checkpoint(folder / name) for name in ("whole", "parts"))
    assert whole.name == parts.name == "step_00000012"
    assert same(load_file(whole / "model.safetensors"), load_file(parts / "model.safetensors"))
    states = [read_training_state(checkpoint) for checkpoint in (whole, parts)]
    assert states[0]["random"][0]["device"]["type"] == device
    for part in ("optimizer", "random", "raw", "history"):
        assert same(states[0][part], states[1][part]), part
    assert same(states[0]["parts"]["precision"], states[1]["parts"]["precision"])


def test_an_asynchronous_checkpoint_is_the_same_as_another(tmp_path, device) -> None:
    saved = []
    for asynchronous in (False, True):
        folder = tmp_path / str(asynchronous)
        config = run_config(folder, device=device, epochs=2)
        config["default_hooks"] |= dict(checkpoint=dict(asynchronous=asynchronous))
        Runner.from_cfg(config).train()
        saved.append(load_file(last_checkpoint(folder) / "model.safetensors"))
    for name, value in saved[0].items():
        torch.testing.assert_close(saved[1][name], value)


def test_predictions_are_those_of_the_cpu(device, monkeypatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    batch, scores = clips_of(), []
    for place in ("cpu", device):
        model = compact_on(place).eval()
        with torch.no_grad():
            samples = model.val_step(copy.deepcopy(batch))
        assert {sample.pred_score.device.type for sample in samples} == {torch.device(place).type}
        scores.append(torch.stack([sample.pred_score.cpu() for sample in samples]))
    torch.testing.assert_close(scores[1], scores[0], atol=1e-4, rtol=1e-3)


def test_an_evaluation_gives_the_figures_of_the_cpu(tmp_path, device) -> None:
    figures = [Runner.from_cfg(run_config(tmp_path, device=place)).val() for place in ("cpu", device)]
    assert figures[0]["acc/top1"] == figures[1]["acc/top1"]
    for name, value in figures[0].items():
        assert figures[1][name] == pytest.approx(value, abs=1e-4), name


def test_a_checkpoint_of_a_device_resumes_on_the_cpu(tmp_path, device) -> None:
    Runner.from_cfg(run_config(tmp_path, device=device, epochs=1)).train()
    runner = Runner.from_cfg(run_config(tmp_path, device="cpu", epochs=2, resume=True))
    runner.train()
    assert (runner.progress.epoch, runner.progress.step) == (2, 8)


@pytest.mark.slow
def test_a_compiled_step_gives_the_losses_of_another(device, monkeypatch) -> None:
    """On a GPU by torch's own code generator; on a CPU, where that needs a C++ compiler, as far as the graph."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    plain, compiled = compact_on(device), compact_on(device)
    names = list(plain.state_dict())
    compiled.backbone.compile(backend="inductor" if device == "cuda" else "eager")
    losses = [losses_of(step_of(model), clips_of()) for model in (plain, compiled)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    assert list(compiled.state_dict()) == names


@pytest.mark.gpu
@pytest.mark.slow
def test_the_command_trains_on_a_gpu_and_its_model_recognizes_on_the_cpu(tmp_path) -> None:
    clips = make_motion_dataset(tmp_path / "clips", num_train=16, num_val=8, num_frames=8, size=(32, 32))
    work = tmp_path / "work"
    options = ["--epochs", 2, "--workers", 2, "--batch-size", 8, "--work-dir", work, "--json"]
    shown = started("-m", "kinema.cli", "train", clips.root, "--device", "cuda", *options)
    summary = json.loads(shown.stdout)
    assert summary["device"].startswith("cuda")
    losses = [json.loads(line).get("loss", 0.0) for line in (work / "metrics.jsonl").read_text().splitlines()]
    assert all(map(math.isfinite, losses))
    video = next(clips.root.rglob("*.mp4"))
    started("-m", "kinema.cli", "predict", work, video, "--device", "cpu", "--json")
