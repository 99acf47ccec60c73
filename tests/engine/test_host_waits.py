"""Between two lines of the log no training step waits for a GPU."""

import contextlib
import copy

import pytest
import torch
from host_waits import HostWaits, no_waits
from toy_run import Pack, Points, ToyModel, run_config

import kinema
from kinema.datasets import build_dataloader
from kinema.engine import Hook, Runner, TrainStep, Window, build_optim_wrapper
from kinema.optim import OptimWrapper, Precision
from kinema.optim.ema import Ema
from kinema.registry import MODELS
from kinema.runs.records import Averages
from kinema.structures import ActionDataSample

WAITS = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "bool": lambda x: bool(x.sum()),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "assigned by mask": lambda x: x.index_put_((x > 0,), torch.ones(())),
    "equal": lambda x: torch.equal(x, x),
    "repeats": lambda x: x.repeat_interleave(torch.ones(3, dtype=torch.long)),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_waits_for_a_gpu_is_found(name) -> None:
    with HostWaits() as found:
        WAITS[name](torch.ones(3))
    assert found.waits
    assert any("test_host_waits.py" in place for place in found.waits[0][1])


def test_what_does_not_wait_is_not_found() -> None:
    x = torch.ones(3, requires_grad=True)
    with HostWaits() as found:
        (x * 2)[torch.tensor([0, 1])].sum().backward()
        torch.nn.functional.one_hot(torch.tensor([0, 1]), 3)
        torch.nn.utils.clip_grad_norm_([x], 1.0)
    assert found.waits == []


class Enter(Hook):
    """Enters a context before each step of the training but the first two, in which torch prepares itself."""

    priority = 0

    def __init__(self, make):
        self.make, self.stack, self.entered = make, contextlib.ExitStack(), 0

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        runner.train_step.optim_wrapper.guard.is_deferred = True  # as on every device but the CPU
        if runner.progress.iteration >= 2:
            self.stack.enter_context(self.make())
            self.entered += 1


class Exit(Hook):
    """Leaves the context behind all other hooks' work on a step."""

    priority = 100

    def __init__(self, enter):
        self.enter = enter

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.enter.stack.close()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_step_of_a_run_waits_nor_any_of_its_hooks(tmp_path, device, precision) -> None:
    enter = Enter(lambda: no_waits(device))
    config = run_config(tmp_path, device=device, precision=precision, epochs=2)
    config["optim_wrapper"] |= dict(clip_grad=dict(max_norm=1.0), accumulative_counts=2)
    config["default_hooks"] = dict(logger=dict(interval=1000))
    config["custom_hooks"] = [enter, Exit(enter), dict(type="EMAHook"), dict(type="RuntimeInfoHook")]
    Runner.from_cfg(config).train()
    assert enter.entered == 6


# Frames of a clip; those of recognizers of single frames are views.
STEPS = {
    "compact3d": dict(frames=4),
    "tsn_r18": dict(views=3),
}
LONGER_STEPS = {
    "tsm_mobilenetv2": dict(views=8),
    "x3d_xs": dict(frames=4),
    "tin_r50": dict(views=8),
    "tanet_r50": dict(views=8),
    "trn_r50": dict(views=8),
    "tpn_tsm_r50": dict(views=8),
    "slowfast_r50": dict(frames=32),
    "slowonly_r50_nl": dict(frames=4),
    "r2plus1d_r34": dict(frames=8),
    "c2d_r50": dict(frames=8),
}
BLENDING = dict(
    type="RandomBatchAugment",
    augments=[dict(type="MixupBlending", num_classes=6), dict(type="CutmixBlending", num_classes=6)],
)


def batch_of(frames=None, views=1):
    shape = (views, 3, 32, 32) if frames is None else (views, 3, frames, 32, 32)
    samples = [ActionDataSample().set_gt_label(number) for number in range(4)]
    return {"inputs": [torch.randint(256, shape, dtype=torch.uint8) for _ in samples], "data_samples": samples}


def step_of(model, device, **precision):
    """A training step with all that may be part of one."""
    model = model.to(device).train()
    optim_wrapper = build_optim_wrapper(
        model,
        dict(optimizer=dict(type="SGD", lr=1e-3, momentum=0.9), clip_grad=dict(max_norm=1.0)),
        Precision(device=device, **precision),
    )
    return TrainStep(model, optim_wrapper, ema=Ema(model, update_buffers=True))


def assert_steps_do_not_wait(step, batch, device):
    averages = Averages()
    for _ in range(2):
        averages.add(step(batch, Window()))
    with no_waits(device):
        for _ in range(2):
            averages.add(step(batch, Window()))
    assert averages.take()["loss"] > 0


@pytest.mark.parametrize("name", [*STEPS, *(pytest.param(name, marks=pytest.mark.slow) for name in LONGER_STEPS)])
def test_no_step_of_a_recognizer_waits(name, device) -> None:
    model = kinema.create_model(name, num_classes=6)
    batch = batch_of(**(STEPS | LONGER_STEPS)[name])
    assert_steps_do_not_wait(step_of(model, device), batch, device)


@pytest.mark.parametrize("head", [dict(label_smooth_eps=0.1), dict(loss_cls=dict(type="FocalLoss"))])
@pytest.mark.parametrize("blending", [None, BLENDING])
def test_no_step_with_blending_and_other_losses_waits(device, head, blending) -> None:
    torch.manual_seed(0)
    config = copy.deepcopy(kinema.create_model("compact3d", num_classes=6).contract.model)
    config["cls_head"] |= head
    config["data_preprocessor"] |= dict(blending=blending)
    assert_steps_do_not_wait(step_of(MODELS.build(config), device), batch_of(frames=4), device)


def test_a_scaled_step_of_a_fused_optimizer_does_not_wait(device) -> None:
    model = ToyModel().to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    step = TrainStep(model, OptimWrapper(optimizer, precision=Precision("fp16", device)))
    (batch,) = build_dataloader(dict(batch_size=24, dataset=Points(pipeline=[Pack()])), seed=1)
    assert_steps_do_not_wait(step, batch, device)
