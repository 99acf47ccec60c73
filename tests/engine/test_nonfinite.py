"""Runs with losses, gradients and weights that are not finite."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from nonfinite_run import BAD, spoiled_config
from torch.utils.data import DataLoader
from toy_run import ToyModel, run_config

from kinema.checkpoints.reading import read_checkpoint
from kinema.datasets import build_dataloader, pseudo_collate
from kinema.engine import Hook, NonFiniteHook, Runner
from kinema.errors import ConfigError, TrainingError

HERE = Path(__file__).parent


def events(work_dir):
    return [json.loads(line) for line in (work_dir / "nonfinite.jsonl").read_text().splitlines()]


def named(event):
    """Indices of the samples of all batches of the first process."""
    return [sample["index"] for batch in event["processes"][0]["batches"] for sample in batch["samples"]]


def is_finite(state):
    return all(bool(torch.isfinite(value).all()) for value in state.values() if value.is_floating_point())


class Seen(Hook):
    """Keeps the labels of what each batch was."""

    def __init__(self):
        self.batches = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.batches.append(data_batch)


def test_a_loss_that_is_not_finite_stops_the_run_before_the_update(tmp_path):
    seen = Seen()
    runner = Runner.from_cfg(spoiled_config(tmp_path, custom_hooks=[seen]))
    with pytest.raises(TrainingError) as caught:
        runner.train()
    place = len(seen.batches)
    text = str(caught.value)
    assert text.startswith(f"step {place}: the loss is not finite (nan): batch {place} of epoch 1, samples ")
    assert f"{BAD} (clip_{BAD}.mp4)" in text
    assert "first module whose output is not finite is data_preprocessor" in text
    assert "the update was not made; there is no checkpoint yet" in text
    assert "policy='skip'" in text
    assert "\n" not in text
    (event,) = events(tmp_path)
    assert len(named(event)) == 6
    assert BAD in named(event)
    assert all(torch.isfinite(parameter).all() for parameter in runner.model.parameters())
    assert not (tmp_path / "checkpoints").exists()


def test_the_last_finite_checkpoint_is_named(tmp_path):
    config = spoiled_config(tmp_path)
    config["default_hooks"]["checkpoint"] = dict(interval="1steps")
    config["randomness"] = dict(seed=8)
    runner = Runner.from_cfg(config)
    with pytest.raises(TrainingError, match=r"the last finite checkpoint is .*step_0000000\d;"):
        runner.train()
    last = runner.store.pointed("last")
    assert str(last) in events(tmp_path)[0]["checkpoint"]
    assert is_finite(read_checkpoint(last).state)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("is_deferred", [False, True])
def test_bad_updates_are_left_out_and_counted(tmp_path, caplog, precision, is_deferred):
    hook = dict(policy="skip", is_deferred=is_deferred)
    runner = Runner.from_cfg(spoiled_config(tmp_path, nonfinite=hook, precision=precision))
    runner.train()
    assert [event["policy"] for event in events(tmp_path)] == ["skip"] * 3  # the sample comes once an epoch
    assert all(BAD in named(event) for event in events(tmp_path))
    assert is_finite(runner.model.state_dict())
    assert "the update was left out (3 so far)" in caplog.text
    assert json.loads((tmp_path / "summary.json").read_text())["steps"] == 12


@pytest.mark.parametrize("is_deferred", [False, True])
def test_a_resumed_run_counts_on(tmp_path, is_deferred):
    hook = dict(policy="skip", is_deferred=is_deferred, max_skips=2)
    Runner.from_cfg(spoiled_config(tmp_path, nonfinite=hook, epochs=2)).train()
    with pytest.raises(TrainingError, match=r"3 updates were left out, more than max_skips=2"):
        Runner.from_cfg(spoiled_config(tmp_path, nonfinite=hook, epochs=3, resume=True)).train()


def test_flags_on_the_device_stop_the_run_at_the_next_log_with_the_weights_before_the_bad_update(tmp_path):
    """The batch is read again, exactly; the same words as where each update is looked at."""
    texts, weights = [], []
    for name, is_deferred in (("now", False), ("later", True)):
        config = spoiled_config(tmp_path / name, nonfinite=dict(is_deferred=is_deferred))
        config["optim_wrapper"]["optimizer"]["fused"] = True
        runner = Runner.from_cfg(config)
        with pytest.raises(TrainingError) as caught:
            runner.train()
        texts.append(str(caught.value).replace(str(tmp_path / name), "").replace(" (nan)", ""))
        weights.append(dict(runner.model.named_parameters()))
        assert not (tmp_path / name / "checkpoints").exists()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("is_deferred", [False, True])
def test_all_batches_of_a_window_are_named(tmp_path, is_deferred):
    config = spoiled_config(tmp_path, accumulate=3, nonfinite=dict(is_deferred=is_deferred))
    with pytest.raises(TrainingError, match=rf"batch \d of epoch 1, samples .*{BAD} \(clip_{BAD}\.mp4\)"):
        Runner.from_cfg(config).train()
    (event,) = events(tmp_path)
    process = event["processes"][0]
    assert [batch["batch"] for batch in process["batches"]] in ([1, 2, 3], [4])
    bad = process["batches"][process["bad"]]
    assert BAD in [sample["index"] for sample in bad["samples"]]


class SteepModel(ToyModel):
    """Its loss is finite, the slope of its loss is not."""

    def forward(self, inputs, data_samples=None, mode="tensor"):
        losses = super().forward(inputs, data_samples, mode)
        if mode == "loss":
            zero = self.layers[4].bias - self.layers[4].bias.detach()
            losses["loss_steep"] = zero.abs().sqrt().sum()
        return losses


def test_gradients_that_are_not_finite_stop_the_run(tmp_path):
    config = run_config(tmp_path, model=dict(type=SteepModel))
    with pytest.raises(TrainingError) as caught:
        Runner.from_cfg(config).train()
    text = str(caught.value)
    assert "step 1: the losses are finite, but gradients are not: batch 1 of epoch 1" in text
    assert "1 parameters have such gradients, the last is layers.4.bias" in text
    assert "in a second forward pass the outputs of all modules are finite" in text
    assert events(tmp_path)[0]["processes"][0]["gradients"] == ["layers.4.bias"]


def test_the_second_forward_pass_draws_the_same_random_numbers(tmp_path):
    """The module is bad only for what its dropout drew."""

    class Unlucky(ToyModel):
        def __init__(self):
            super().__init__()
            self.luck = torch.nn.Dropout(0.5)

        def forward(self, inputs, data_samples=None, mode="tensor"):
            losses = super().forward(inputs, data_samples, mode)
            if mode == "loss":
                losses["loss_luck"] = self.layers[4].bias.sum() * 0 + (1 / (self.luck(torch.ones(4)).sum())).log()
            return losses

    config = run_config(tmp_path, model=dict(type=Unlucky), epochs=40)
    config["val_dataloader"] = config["val_cfg"] = config["val_evaluator"] = None
    with pytest.raises(TrainingError, match=r"the loss is not finite \(inf\)"):
        Runner.from_cfg(config).train()
    assert "the first module whose output is not finite is the model (Unlucky)" not in events(tmp_path)[0]
    assert "(Unlucky), whose input is finite" in events(tmp_path)[0]["processes"][0]["module"]


def test_spoiled_weights_are_in_no_checkpoint(tmp_path):
    class Spoiler(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.progress.iteration == 7:
                with torch.no_grad():
                    runner.model.layers[0].weight[0, 0] = math.nan

    with pytest.raises(
        TrainingError,
        match=r"step 8: 1 weights or buffers of the model are not finite, the first is layers\.0\.weight: no checkpoint"
        r" is written; the last finite checkpoint is .*step_00000004",
    ):
        Runner.from_cfg(run_config(tmp_path, custom_hooks=[Spoiler()])).train()


def test_gradients_that_overflow_in_fp16_are_the_scalers_business(tmp_path):
    config = run_config(tmp_path, precision="fp16")
    config["optim_wrapper"] = dict(
        type="AmpOptimWrapper",
        loss_scale=dict(init_scale=2.0**40),
        optimizer=dict(type="SGD", lr=0.1),
    )
    runner = Runner.from_cfg(config)
    runner.train()
    assert not (tmp_path / "nonfinite.jsonl").exists()
    assert runner.optim_wrapper.precision.scaler.get_scale() < 2.0**40


@pytest.mark.parametrize("is_deferred", [False, True])
def test_a_scale_that_keeps_falling_is_named(tmp_path, caplog, is_deferred):
    config = run_config(tmp_path, model=dict(type=SteepModel), precision="fp16", epochs=10)
    config["optim_wrapper"] = dict(
        type="AmpOptimWrapper", loss_scale=dict(init_scale=4.0), optimizer=dict(type="SGD", lr=0.1)
    )
    config["default_hooks"] = dict(nonfinite=dict(is_deferred=is_deferred), logger=dict(interval=1))
    with pytest.raises(TrainingError, match=r"the scale of the loss fell to 0\.0\d+: in fp16 gradients overflow"):
        Runner.from_cfg(config).train()
    assert caplog.text.count("the scale of the loss fell to 0.5") == 1


def test_a_loader_of_others_is_named_by_its_data_samples(tmp_path):
    config = spoiled_config(tmp_path)
    dataset = build_dataloader(config["train_dataloader"], seed=0).dataset
    config["train_dataloader"] = DataLoader(dataset, 6, collate_fn=pseudo_collate)
    with pytest.raises(TrainingError, match=r"step 1: the loss is not finite \(nan\): batch 1 of epoch 1; the first"):
        Runner.from_cfg(config).train()


def test_the_hook_can_be_removed(tmp_path):
    config = spoiled_config(tmp_path)
    config["default_hooks"]["nonfinite"] = None
    config["val_dataloader"] = config["val_cfg"] = config["val_evaluator"] = None
    runner = Runner.from_cfg(config)
    runner.train()
    assert not is_finite(runner.model.state_dict())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(policy="ignore"), r"default_hooks\.nonfinite: policy must be 'stop' or 'skip', got 'ignore'"),
        (dict(max_skips=-1), r"default_hooks\.nonfinite: max_skips must be 0 or more, got -1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        NonFiniteHook(**settings)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_processes_decide_alike_where_one_of_them_is_not_finite(tmp_path, strategy):
    cases = ("stop", "skip", "fp16", "gradient")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [*command, HERE / "torchrun_nonfinite.py", tmp_path, strategy, *cases],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr
    for case in cases:
        check_decision_of_two(case, tmp_path / case)


def check_decision_of_two(case, work_dir):
    first, second = json.loads((work_dir / "ranks.json").read_text())
    assert first == second
    event = events(work_dir)[0]
    assert [process["rank"] for process in event["processes"]] == [0, 1]
    if case == "skip":
        assert first["error"] is None
        assert [event["policy"] for event in events(work_dir)] == ["skip"] * 3
    else:
        assert "the update was not made" in first["error"]
    if case != "gradient":
        bad = [process for process in event["processes"] if process["bad"] >= 0]
        assert len(bad) == 1
        assert BAD in [sample["index"] for sample in bad[0]["batches"][bad[0]["bad"]]["samples"]]
