"""OpenMMLab's hooks under a runner that is not Kinema's: each does by itself what it does there."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from toy_run import run_config

from kinema.compat.parts.hooks.averaging import EMAHook
from kinema.compat.parts.hooks.checkpointing import CheckpointHook
from kinema.compat.parts.hooks.recording import LoggerHook
from kinema.engine import Runner
from kinema.hooks import ParamSchedulerHook, RuntimeInfoHook
from kinema.registry import HOOKS
from kinema.runs.message_hub import MessageHub


class ForeignRunner(SimpleNamespace):
    """A runner of a user's own, which writes down what hooks ask of it."""

    def __init__(self, work_dir: Path, **facts: Any) -> None:
        super().__init__(**{"epoch": 0, "iter": 0, "max_epochs": 9, "max_iters": 99, **facts})
        self.work_dir = str(work_dir)
        self.message_hub = MessageHub("foreign")
        self.lines: list[str] = []
        self.figures: list[tuple[dict[str, Any], int]] = []
        self.logger = SimpleNamespace(info=self.lines.append, warning=self.lines.append)
        self.visualizer = SimpleNamespace(add_scalars=lambda figures, step, **_: self.figures.append((figures, step)))
        self.log_processor = SimpleNamespace(
            get_log_after_iter=lambda _, batch, mode: ({"loss": 1.0}, f"{mode} {batch}"),
            get_log_after_epoch=lambda _, length, mode: ({"acc": 0.5}, f"{mode} of {length}"),
        )

    def save_checkpoint(self, out_dir: str, filename: str, **settings: Any) -> None:
        Path(out_dir).mkdir(parents=True, exist_ok=True)
        Path(out_dir, filename).write_text(str(settings["save_optimizer"]))


def test_checkpoints_are_written_by_the_runner_at_the_interval_and_the_best(tmp_path: Path) -> None:
    runner = ForeignRunner(tmp_path)
    hook = CheckpointHook(2, max_keep_ckpts=1, save_best="auto", out_dir=str(tmp_path / "out"))
    hook.before_train(runner)
    for runner.epoch in range(4):
        hook.after_train_epoch(runner)
    for runner.epoch, score in ((5, 0.5), (6, 0.4), (7, 0.7)):
        hook.after_val_epoch(runner, {"acc": score})
    folder = tmp_path / "out" / tmp_path.name
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        "epoch_4.pth": "True",
        "best_acc_epoch_7.pth": "False",
    }
    assert (tmp_path / "last_checkpoint").read_text() == str(folder / "epoch_4.pth")
    hub = runner.message_hub
    assert (hook.key_indicators, hook.rules, hub.get_info("best_score")) == (["acc"], ["greater"], 0.7)
    again = CheckpointHook(2, save_best="acc")
    again.before_train(runner)
    assert again.best_ckpt_path == str(folder / "best_acc_epoch_7.pth")
    with pytest.raises(KeyError, match="save_best='acc', but the validation gave top1"):
        again.after_val_epoch(runner, {"top1": 0.5})
    assert CheckpointHook().interval == -1
    with pytest.raises(ValueError, match="give file_client_args or backend_args, not both"):
        CheckpointHook(file_client_args={"backend": "disk"}, backend_args={"backend": "local"})


def test_lines_and_figures_go_to_the_runners_own_parts(tmp_path: Path) -> None:
    runner = ForeignRunner(
        tmp_path, experiment_name="own", timestamp="now", train_dataloader=range(5), _train_loop=None
    )
    runner.val_dataloader = range(3)
    hook = LoggerHook(interval=2)
    hook.before_run(runner)
    for runner.iter in range(5):
        hook.after_train_iter(runner, runner.iter)
    hook.after_val_iter(runner, 1)
    hook.after_val_epoch(runner, {"acc": 0.5})
    assert runner.lines == ["train 1", "train 3", "Exp name: own", "val 1", "val of 3"]
    assert runner.figures == [({"loss": 1.0}, 2), ({"loss": 1.0}, 4), ({"acc": 0.5}, 0)]
    with pytest.raises(TypeError, match="interval must be of type int, got '10'"):
        LoggerHook(interval="10")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="out_dir must be a path, got 1"):
        LoggerHook(out_dir=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="interval_exp_name must be at least 1, got 0"):
        LoggerHook(interval_exp_name=0)
    with pytest.raises(ValueError, match="file_client_args are for an out_dir"):
        LoggerHook(file_client_args={"backend": "disk"})


def test_files_of_the_run_move_where_out_dir_says(tmp_path: Path) -> None:
    (tmp_path / "work" / "now").mkdir(parents=True)
    (tmp_path / "work" / "now" / "a.log").write_text("line")
    runner = ForeignRunner(tmp_path / "work", timestamp="now", _log_dir=str(tmp_path / "work" / "now"))
    runner.visualizer.close = lambda: None
    hook = LoggerHook(out_dir=str(tmp_path / "kept"), keep_local=False)
    hook.before_run(runner)
    hook.after_run(runner)
    assert (tmp_path / "kept" / "work" / "a.log").read_text() == "line"
    assert not (tmp_path / "work" / "now" / "a.log").exists()


def test_averages_change_places_with_the_weights_for_evaluations_and_checkpoints(tmp_path: Path) -> None:
    model = nn.Linear(1, 1, bias=False)
    runner = ForeignRunner(tmp_path, model=model, _resume=True)
    hook = EMAHook("ExponentialMovingAverage", False, 1, momentum=0.5)
    hook.before_run(runner)
    hook.before_train(runner)
    for runner.iter, weight in enumerate((1.0, 2.0, 4.0)):
        nn.init.constant_(model.weight, weight)
        hook.after_train_iter(runner, runner.iter)
    hook.before_val_epoch(runner)
    assert (model.weight.item(), hook.ema_model.module.weight.item()) == (3.0, 4.0)
    hook.after_val_epoch(runner)
    hook.before_test_epoch(runner)
    assert (model.weight.item(), hook.ema_model.module.weight.item()) == (3.0, 4.0)
    hook.after_test_epoch(runner)
    assert (model.weight.item(), hook.ema_model.module.weight.item()) == (4.0, 3.0)
    checkpoint = {"state_dict": model.state_dict()}
    hook.before_save_checkpoint(runner, checkpoint)
    saved = checkpoint["state_dict"]["weight"].item(), checkpoint["ema_state_dict"]["module.weight"].item()  # type: ignore
    assert saved == (3.0, 4.0)
    hook.after_load_checkpoint(runner, checkpoint)
    assert (checkpoint["state_dict"]["weight"].item(), hook.ema_model.module.weight.item()) == (4.0, 3.0)
    with pytest.raises(ValueError, match="begin_iter and begin_epoch must be at least 0, got -1, 0"):
        EMAHook(begin_iter=-1)
    late = EMAHook(begin_epoch=10)
    late.before_run(runner)
    with pytest.raises(ValueError, match="behind the end of the training"):
        late.before_train(runner)


def test_figures_of_any_kind_and_schedulers_of_several_optimizers_are_taken(tmp_path: Path) -> None:
    steps: list[str] = []
    schedulers = {name: [SimpleNamespace(by_epoch=True, step=lambda name=name: steps.append(name))] for name in "ab"}
    runner = ForeignRunner(tmp_path, param_schedulers=schedulers, schedules=[], is_training=True)
    ParamSchedulerHook().after_train_epoch(runner)  # type: ignore[arg-type]
    assert steps == ["a", "b"]
    figures = {"a": np.array(0.5), "b": torch.tensor([0.25]), "c": np.float32(1), "table": np.ones(2)}
    RuntimeInfoHook().after_val_epoch(runner, figures)  # type: ignore[arg-type]
    hub = runner.message_hub
    assert [hub.get_scalar(f"val/{name}").current() for name in "abc"] == [0.5, 0.25, 1.0]
    assert hub.get_info("val/table").tolist() == [1, 1]


@pytest.mark.usefixtures("shim")
def test_configs_build_these_hooks_while_the_names_are_kinemas() -> None:
    from mmengine.hooks import CheckpointHook as Imported

    assert Imported is CheckpointHook
    assert type(HOOKS.build({"type": "CheckpointHook"})) is CheckpointHook
    import kinema.compat

    kinema.compat.uninstall()
    assert type(HOOKS.build({"type": "CheckpointHook"})).__module__ == "kinema.hooks.checkpointing"
    kinema.compat.install()
    assert type(HOOKS.build({"type": "EMAHook"})) is EMAHook


def test_a_run_of_kinema_says_once_which_arguments_have_no_effect_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kinema.openmmlab.keywords._logged", set())
    caplog.set_level("INFO", "kinema")
    hooks = [LoggerHook(5, ignore_last=False, out_dir=str(tmp_path / "out")), EMAHook(strict_load=True), LoggerHook()]
    runner = Runner.from_cfg(run_config(tmp_path / "run", epochs=1))
    for hook in hooks:
        hook.before_run(runner)
    lines = [line.split(": ")[2] for line in caplog.messages if "no effect in Kinema" in line]
    assert lines == [
        "ignore_last (the last batches of an epoch are always reported); out_dir (the files of a run are in its work"
        " folder)",
        "strict_load (averages are always loaded whole)",
    ]
