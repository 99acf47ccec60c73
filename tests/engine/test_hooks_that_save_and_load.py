"""Hooks of MMEngine's users that change what a checkpoint holds, and runners that build parts in their own way."""

import copy
import json

import pytest
import torch
from toy_run import ToyModel, run_config, same

from kinema.checkpoints.unpickling import load_restricted
from kinema.compat.parts.averaged_models import ExponentialMovingAverage
from kinema.compat.parts.hooks.checkpointing import CheckpointHook
from kinema.engine import EMAHook, Hook, OptimWrapper, Runner
from kinema.registry import LOOPS
from kinema.training.base_loop import BaseLoop


def trained(work_dir, **changes):
    runner = Runner.from_cfg(run_config(work_dir, **changes))
    runner.train()
    return runner


class OwnEma(Hook):
    """Averages as MMEngine's own hook keeps them: begun, swapped into the file, and taken up at their points."""

    def before_run(self, runner):
        self.ema = ExponentialMovingAverage(runner.model, momentum=0.3)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.ema.update_parameters(runner.model)

    def before_save_checkpoint(self, runner, checkpoint):
        checkpoint["ema_state_dict"] = dict(self.ema.state_dict())
        checkpoint["meta"]["averaged"] = True
        self.swap(checkpoint)

    def after_load_checkpoint(self, runner, checkpoint):
        assert checkpoint["meta"]["averaged"]
        self.swap(checkpoint)
        self.ema.load_state_dict(checkpoint["ema_state_dict"])

    def swap(self, checkpoint):
        weights, averages = checkpoint["state_dict"], checkpoint["ema_state_dict"]
        for name in [name for name in averages if name.startswith("module.")]:
            own = name.removeprefix("module.")
            weights[own], averages[name] = averages[name], weights[own]


@pytest.mark.parametrize("also_pth", [False, True])
def test_a_hook_that_swaps_weights_in_the_checkpoint_resumes_exactly(tmp_path, also_pth):
    hooks = dict(checkpoint=dict(also_pth=also_pth))
    whole, own = OwnEma(), OwnEma()
    expected = trained(tmp_path / "whole", custom_hooks=[whole], default_hooks=hooks)
    trained(tmp_path / "cut", custom_hooks=[OwnEma(), StopBehind(1)], default_hooks=hooks)
    if also_pth:
        assert torch.load(tmp_path / "cut" / "epoch_1.pth", weights_only=True)["meta"]["averaged"]
    actual = trained(tmp_path / "cut", custom_hooks=[own], default_hooks=hooks, resume=True)
    assert same(actual.model.state_dict(), expected.model.state_dict())
    assert same(own.ema.state_dict(), whole.ema.state_dict())


class StopBehind(Hook):
    """Ends the training behind an epoch, with a checkpoint."""

    def __init__(self, epochs):
        self.epochs = epochs

    def after_train_epoch(self, runner):
        if runner.epoch + 1 == self.epochs:
            runner.stop("enough")


def test_a_hook_changes_the_weights_that_a_run_starts_from(tmp_path):
    class DropHead(Hook):
        def after_load_checkpoint(self, runner, checkpoint):
            checkpoint["state_dict"]["layers.4.bias"] = torch.full((2,), 5.0)

    trained(tmp_path / "first", epochs=1)
    runner = Runner.from_cfg(
        run_config(tmp_path / "second", load_from=str(tmp_path / "first"), custom_hooks=[DropHead()])
    )
    runner.load_or_resume()
    assert runner.model.layers[4].bias.tolist() == [5.0, 5.0]


def test_what_a_hook_validates_inside_an_epoch_is_saved_behind_its_batch(tmp_path):
    class ValidateInside(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter == 1:
                runner.val_loop.run()

    def run(name, **changes):
        return trained(tmp_path / name, epochs=2, custom_hooks=[ValidateInside()], **changes)

    whole = run("whole")
    folder = tmp_path / "whole" / "checkpoints" / "step_00000002"  # the best until then
    assert load_restricted(folder / "training.pt").content["parts"]["progress"]["iteration"] == 2
    resumed = trained(tmp_path / "resumed", epochs=2, load_from=str(folder), resume=True)
    assert same(resumed.model.state_dict(), whole.model.state_dict())
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "val"] == [2, 4, 8]


def test_modules_that_a_hook_sets_to_evaluate_before_an_epoch_are_trained_as_in_openmmlab(tmp_path):
    class EvaluateNorm(Hook):
        def before_train_epoch(self, runner):
            runner.model.layers[1].eval()

    expected, actual = trained(tmp_path / "a"), trained(tmp_path / "b", custom_hooks=[EvaluateNorm()])
    assert same(actual.model.state_dict(), expected.model.state_dict())


def test_hooks_behind_the_averages_see_them_when_a_validation_begins(tmp_path):
    seen = []

    class Look(Hook):
        def note(self, runner, **arguments):
            seen.append(runner.model.layers[4].bias.clone())

        before_val = before_val_epoch = after_val_epoch = note

        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if batch_idx == 0:
                self.note(runner)
                runner.save_checkpoint(runner.work_dir, "inside.pth")

    runner = trained(tmp_path, epochs=1, custom_hooks=[EMAHook(momentum=0.1), Look()])
    trained_weights, began, inside, ended = seen
    assert torch.equal(began, inside)
    assert torch.equal(trained_weights, ended)
    assert not torch.equal(began, ended)
    assert torch.equal(runner.train_step.ema.averages["layers.4.bias"], began)
    saved = torch.load(tmp_path / "inside.pth", weights_only=True)
    assert torch.equal(saved["state_dict"]["layers.4.bias"], began)
    assert torch.equal(saved["ema_state_dict"]["module.layers.4.bias"], ended)


def test_a_runner_of_the_users_builds_parts_in_its_own_way(tmp_path):
    calls = []

    class OwnRunner(Runner):
        def __init__(self, *args, note=None, **kwargs):
            super().__init__(*args, **kwargs)
            self.note = note

        def build_model(self, model):
            calls.append("model")
            built = super().build_model(model)
            torch.nn.init.zeros_(built.layers[4].bias)
            return built

        def build_optim_wrapper(self, optim_wrapper):
            calls.append("optim_wrapper")
            return super().build_optim_wrapper({**optim_wrapper, "accumulative_counts": 2})

        def build_train_loop(self, loop):
            calls.append("train_loop")
            return super().build_train_loop({**loop, "max_epochs": 1})

        def build_val_loop(self, loop):
            calls.append("val_loop")
            return super().build_val_loop(loop)

        @staticmethod
        def build_dataloader(dataloader, seed=None, diff_rank_seed=False):
            calls.append("dataloader")
            return Runner.build_dataloader({**dataloader, "batch_size": 4}, seed=seed)

    runner = OwnRunner.from_cfg({**run_config(tmp_path, precision="bf16"), "note": 3})
    runner.train()
    assert sorted(set(calls)) == ["dataloader", "model", "optim_wrapper", "train_loop", "val_loop"]
    assert (runner.note, runner.iter, runner.progress.step) == (3, 6, 3)
    assert runner.optim_wrapper.precision.name == "bf16"
    assert (runner.optim_wrapper._accumulative_counts, runner.optim_wrapper._max_counts) == (2, 6)


def test_the_preprocessor_of_a_run_is_that_of_a_model_without_one(tmp_path):
    class Other(ToyModel):
        def __init__(self, data_preprocessor=None):
            super().__init__()
            self.given = copy.deepcopy(data_preprocessor)

    config = run_config(tmp_path, model=dict(type=Other), data_preprocessor=dict(type="BaseDataPreprocessor"))
    assert Runner.from_cfg(config).model.given == dict(type="BaseDataPreprocessor")
    config["model"]["data_preprocessor"] = dict(type="ActionDataPreprocessor")
    assert Runner.from_cfg(config).model.given == dict(type="ActionDataPreprocessor")


def test_a_hook_replaces_the_optimizer_the_schedules_and_the_end_of_a_training(tmp_path):
    rates = []

    class Replace(Hook):
        def after_train_epoch(self, runner):
            if runner.epoch == 0:
                adam = torch.optim.Adam(runner.model.parameters(), lr=0.01)
                runner.optim_wrapper = OptimWrapper(adam, accumulative_counts=2)
                runner.param_schedulers = [dict(type="ConstantLR", factor=0.5)]
                runner.train_loop._max_epochs = 2
                runner.train_loop._max_iters = 1000  # an epoch loop does not end by them

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            rates.append(runner.optim_wrapper.get_lr()["lr"][0])

    runner = trained(tmp_path, custom_hooks=[Replace()], param_scheduler=dict(type="ConstantLR", factor=0.1))
    assert rates == pytest.approx([0.01] * 4 + [0.005] * 4)
    assert (runner.epoch, runner.max_epochs, runner.iter, runner.progress.step) == (2, 2, 8, 6)
    assert isinstance(runner.optim_wrapper.optimizer, torch.optim.Adam)


def test_a_loop_of_the_users_own_needs_no_length_and_gets_the_schedules(tmp_path):
    @LOOPS.register_module(force=True)
    class Rounds(BaseLoop):
        def __init__(self, runner, dataloader, rounds):
            super().__init__(runner, dataloader)
            self.max_iters, self.iter, self.epoch = rounds * len(self.dataloader), 0, 0

        def run(self):
            self.runner.call_hook("before_train")
            while self.iter < self.max_iters:
                for batch in self.dataloader:
                    self.runner.call_hook("before_train_iter", batch_idx=self.iter, data_batch=batch)
                    self.runner.model.train_step(batch, self.runner.optim_wrapper)
                    rates.append(self.runner.optim_wrapper.get_lr()["lr"][0])
                    self.iter += 1
                self.epoch += 1
            return self.runner.model

    rates = []
    schedule = dict(type="MultiStepLR", milestones=[1], gamma=0.1)
    runner = trained(tmp_path, train_cfg=dict(type="Rounds", rounds=2), param_scheduler=schedule)
    assert (runner.iter, runner.epoch, runner.max_iters) == (8, 2, 8)
    assert rates == pytest.approx([0.1] * 4 + [0.01] * 4)


def test_the_hook_of_openmmlab_names_the_files_that_it_wrote(tmp_path):
    hook = CheckpointHook(interval=1, save_best="acc/top1", also_pth=True)
    trained(tmp_path, epochs=1, default_hooks=dict(checkpoint=hook))
    assert hook.last_ckpt == str(tmp_path / "epoch_1.pth")
    assert hook.best_ckpt_path == str(tmp_path / "best_acc_top1_epoch_1.pth")
