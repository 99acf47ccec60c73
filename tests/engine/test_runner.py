import json
import logging
import re

import numpy as np
import pytest
import torch
from toy_run import Pack, Points, ToyModel, run_config

from kinema.checkpoints.saving import write_mark
from kinema.config import Config
from kinema.engine import Hook, Runner
from kinema.errors import CheckpointError, ConfigError
from kinema.evaluation import BaseMetric, Evaluator


def train(work_dir, **changes):
    runner = Runner.from_cfg(run_config(work_dir, **changes))
    runner.train()
    return runner


def lines_of(work_dir):
    return [json.loads(line) for line in (work_dir / "metrics.jsonl").read_text().splitlines()]


def weights_of(runner):
    return {name: tensor.clone() for name, tensor in runner.model.state_dict().items()}


def accuracy_of(model):
    """Share of the validation points whose side the model names, counted one by one."""
    points = [info["point"] for info in Points(count=13).load_data_list()]
    with torch.no_grad():
        sides = [int(model.eval().layers(torch.from_numpy(point)[None]).argmax()) for point in points]
    return sum(side == int(point[0] > 0) for side, point in zip(sides, points, strict=True)) / len(points)


def test_a_run_writes_its_files(tmp_path):
    runner = train(tmp_path)
    lines = lines_of(tmp_path)
    train_lines = [line for line in lines if line["split"] == "train"]
    assert [(line["epoch"], line["step"]) for line in train_lines] == [(1, 2), (1, 4), (2, 6), (2, 8), (3, 10), (3, 12)]
    assert set(train_lines[0]) == {"step", "epoch", "split", "loss", "lr", "seconds"}  # loss_cls is the loss
    val_lines = [line for line in lines if line["split"] == "val"]
    assert [line["step"] for line in val_lines] == [4, 8, 12]
    assert val_lines[-1]["acc/top1"] == pytest.approx(accuracy_of(runner.model))
    assert [line["seconds"] for line in lines] == sorted(line["seconds"] for line in lines)

    checkpoints = tmp_path / "checkpoints"
    assert (checkpoints / "last").read_text() == "step_00000012\n"
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (checkpoints / "best").read_text().strip() == summary["best"]["checkpoint"]
    assert summary["best"]["value"] == max(line["acc/top1"] for line in val_lines)
    assert (summary["epochs"], summary["steps"], summary["classes"]) == (3, 12, ["left", "right"])
    contract = json.loads((checkpoints / "step_00000012" / "config.json").read_text())
    assert contract["format"] == 1
    assert contract["classes"] == ["left", "right"]
    assert contract["metrics"]["acc/top1"] == val_lines[-1]["acc/top1"]
    assert "resumed" not in (tmp_path / "train.log").read_text()
    assert (tmp_path / "config.py").is_file()
    assert runner.epoch == 3


def test_it_learns(tmp_path):
    runner = train(tmp_path, epochs=20)
    assert runner.best["value"] >= 0.9


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_run_ends_with_the_same_weights(tmp_path, num_workers):
    def config(name, epochs, **changes):
        made = run_config(tmp_path / name, epochs=epochs, **changes)
        made["train_dataloader"]["num_workers"] = num_workers
        return made

    whole = Runner.from_cfg(config("whole", 4))
    whole.train()
    Runner.from_cfg(config("cut", 2)).train()
    torch.rand(5)  # another process would come with other generators
    resumed = Runner.from_cfg(config("cut", 4, resume=True))
    resumed.train()
    for name, tensor in weights_of(whole).items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    strip = [{k: v for k, v in line.items() if k != "seconds"} for line in lines_of(tmp_path / "whole")]
    assert strip == [{k: v for k, v in line.items() if k != "seconds"} for line in lines_of(tmp_path / "cut")]


def test_a_run_that_was_killed_in_an_epoch_goes_on_from_the_last_finished_one(tmp_path):
    class Stop(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 6:
                raise KeyboardInterrupt

    whole = train(tmp_path / "whole", epochs=3)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", epochs=3, custom_hooks=[Stop()])
    resumed = train(tmp_path / "cut", epochs=3, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(weights_of(whole).values(), weights_of(resumed).values(), strict=True))
    steps = [line["step"] for line in lines_of(tmp_path / "cut")]
    assert steps == sorted(steps)
    assert len(steps) == len(lines_of(tmp_path / "whole"))


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    first = weights_of(train(tmp_path))
    again = train(tmp_path, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(first.values(), weights_of(again).values(), strict=True))


def test_a_resumed_run_keeps_the_seed_that_was_drawn(tmp_path):
    drawn = train(tmp_path, epochs=1, randomness={})
    resumed = train(tmp_path, epochs=2, randomness={}, resume=True)
    assert resumed.seed == drawn.seed
    assert resumed.train_dataloader.seed == drawn.seed


def test_an_evaluation_after_a_resumed_training_is_of_the_trained_weights(tmp_path):
    train(tmp_path, epochs=1)
    start = tmp_path / "checkpoints" / "step_00000004"
    runner = train(tmp_path, epochs=3, resume=True, load_from=str(start))
    trained = {name: tensor.clone() for name, tensor in weights_of(runner).items()}
    runner.val()
    assert all(torch.equal(tensor, trained[name]) for name, tensor in weights_of(runner).items())


def test_resume_without_a_checkpoint_starts_from_the_beginning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="kinema"):
        train(tmp_path, epochs=1, resume=True)
    assert "nothing to resume" in caplog.text


def test_only_the_newest_and_the_best_checkpoints_stay(tmp_path):
    class Decline(Hook):
        def after_val_epoch(self, runner, metrics=None):
            metrics["acc/top1"] = 2.0 - 0.1 * runner.epoch

    train(tmp_path, epochs=6, default_hooks=dict(checkpoint=dict(max_keep_ckpts=2)), custom_hooks=[Decline()])
    kept = sorted(entry.name for entry in (tmp_path / "checkpoints").iterdir() if entry.is_dir())
    assert kept == ["step_00000004", "step_00000020", "step_00000024"]


def test_without_an_interval_only_the_last_checkpoint_is_written(tmp_path):
    train(tmp_path, epochs=3, default_hooks=dict(checkpoint=dict(interval=-1, save_best=None)))
    assert [entry.name for entry in (tmp_path / "checkpoints").iterdir() if entry.is_dir()] == ["step_00000012"]


def test_weights_can_be_loaded_at_any_time(tmp_path):
    first = train(tmp_path / "a", epochs=1)
    other = Runner.from_cfg(run_config(tmp_path / "b"))
    other.load_checkpoint(tmp_path / "a" / "checkpoints" / "step_00000004", strict=True)
    assert all(torch.equal(a, b) for a, b in zip(weights_of(first).values(), weights_of(other).values(), strict=True))


def test_weights_can_be_loaded_to_start_from(tmp_path):
    first = train(tmp_path / "a", epochs=1)
    other = Runner.from_cfg(run_config(tmp_path / "b", load_from=str(tmp_path / "a" / "checkpoints" / "step_00000004")))
    metrics = other.val()
    assert all(torch.equal(a, b) for a, b in zip(weights_of(first).values(), weights_of(other).values(), strict=True))
    assert metrics["acc/top1"] == lines_of(tmp_path / "a")[-1]["acc/top1"]


def test_objects_work_as_well_as_configs(tmp_path):
    model = ToyModel()
    config = run_config(tmp_path, epochs=1, model=model)
    config["train_dataloader"] = Runner.build_dataloader(dict(batch_size=6, dataset=Points(pipeline=[Pack()])), seed=1)
    config["optim_wrapper"] = torch.optim.SGD(model.parameters(), lr=0.1)
    Runner(**config).train()
    assert json.loads((tmp_path / "checkpoints" / "step_00000004" / "config.json").read_text())["model"] is None


def test_hooks_run_at_their_points_in_the_order_of_priority(tmp_path):
    calls = []

    class Note(Hook):
        def __init__(self, name):
            self.name = name

    for point in (
        "before_run",
        "before_train",
        "before_train_epoch",
        "after_train_epoch",
        "after_val",
        "after_train",
        "after_run",
    ):
        setattr(Note, point, lambda self, runner, point=point: calls.append((point, self.name)))
    late, early = Note("late"), Note("early")
    early.priority = "HIGH"
    train(tmp_path, epochs=1, custom_hooks=[late, early])
    points = [
        "before_run",
        "before_train",
        "before_train_epoch",
        "after_train_epoch",
        "after_val",
        "after_train",
        "after_run",
    ]
    assert calls == [(point, name) for point in points for name in ("early", "late")]
    late.priority = "URGENT"
    with pytest.raises(ValueError, match="priority must be a number or one of HIGHEST"):
        train(tmp_path, custom_hooks=[late])


def test_the_console_tells_progress_and_time_left(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="kinema"):
        train(tmp_path, epochs=1)
    assert "epoch 1/1  batch 4/4  loss" in caplog.text
    assert "0:00 left" in caplog.text
    assert "epoch 1  validation  acc/top1" in caplog.text


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            dict(val_evaluator=None),
            ConfigError,
            "val_evaluator missing: val_dataloader, val_cfg, val_evaluator are given together",
        ),
        (
            dict(model=dict(type=ToyModel, num_classes=3)),
            ConfigError,
            "data has 2 classes, the model's head 3: set model.cls_head",
        ),
        (dict(optim_wrapper=None), ConfigError, "training needs train_dataloader, train_cfg and optim_wrapper"),
        (dict(launcher="ray"), ConfigError, "launcher must be one of none, pytorch, slurm, mpi, got 'ray'"),
        (dict(precision="fp8"), ConfigError, "precision must be one of auto, fp32, bf16, fp16, got 'fp8'"),
        (dict(strategy="zero"), ConfigError, "strategy='zero' is no strategy of Kinema"),
        (dict(device="gpu"), ConfigError, "the device 'gpu' cannot be used here"),
        (dict(randomness=dict(sed=1)), ConfigError, "randomness has no 'sed': did you mean seed"),
        (dict(default_hooks=dict(checkpoint=dict(keep=1))), TypeError, "CheckpointHook .*'keep'"),
        (dict(default_hooks=dict(checkpoint=dict(interval="often"))), ConfigError, "such as 500steps .* got 'often'"),
        (dict(default_hooks=dict(checkpoint=dict(save_best=[1]))), ConfigError, "name of one metric"),
        (dict(default_hooks=dict(checkpoint=dict(rule="max"))), ConfigError, "'greater' or 'less', got 'max'"),
        (
            dict(default_hooks=dict(checkpoint=dict(save_best="f1"))),
            ConfigError,
            "save_best='f1' is no metric .* acc/top1",
        ),
        (dict(train_cfg=dict(max_epochs=0)), ValueError, "must be at least 1, got max_epochs=0"),
        (dict(train_cfg=dict(max_epochs=1, val_interval=0)), ValueError, "val_interval must be at least 1, got 0"),
        (dict(train_cfg=dict(max_epochs=1, max_iters=5)), ConfigError, "train_cfg needs one of max_epochs, max_iters"),
        (dict(train_cfg=dict(max_iters=5, by_epoch=True)), ConfigError, "by_epoch=True does not go with max_iters"),
        (dict(train_cfg=dict(max_epochs=5, val_intervall=2)), ConfigError, "did you mean val_interval?"),
        (dict(load_from="absent"), CheckpointError, "absent"),
        (dict(resume=True, load_from="absent"), CheckpointError, "no such checkpoint to resume"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, kind, message):
    with pytest.raises(kind, match=message):
        Runner.from_cfg(run_config(tmp_path, **change)).train()


def test_a_config_without_model_or_loader_is_named(tmp_path):
    with pytest.raises(ConfigError, match="the config has no 'model'"):
        Runner.from_cfg({"work_dir": str(tmp_path)})
    with pytest.raises(ConfigError, match="there is nothing to evaluate: give test_dataloader"):
        Runner.from_cfg(run_config(tmp_path)).test()


def test_a_damaged_training_state_is_named(tmp_path):
    train(tmp_path, epochs=1)
    (tmp_path / "checkpoints" / "step_00000004" / "training.pt").write_bytes(b"damaged")
    write_mark(tmp_path / "checkpoints" / "step_00000004")
    with pytest.raises(CheckpointError, match=r"training\.pt: cannot be read: .*: resume from an older checkpoint"):
        train(tmp_path, resume=True)
    torch.save([Share()], tmp_path / "checkpoints" / "step_00000004" / "training.pt")
    write_mark(tmp_path / "checkpoints" / "step_00000004")
    with pytest.raises(CheckpointError, match=r"training\.pt: holds no training state of Kinema: resume from an older"):
        train(tmp_path, resume=True)


class Share(BaseMetric):
    """The share of right predictions, as a user may return it: in a tensor."""

    def process(self, data_batch, data_samples):
        self.results.extend(sample["pred_score"].argmax() == sample["gt_label"][0] for sample in data_samples)

    def compute_metrics(self, results):
        right = torch.stack(results)
        return {"share": right.float().mean(), "count": np.float32(len(right)), "all": right}


@pytest.mark.parametrize("evaluator", [dict(type=Share), dict(type=Evaluator, metrics=[Share()])])
def test_a_metric_may_be_a_class_and_give_tensors(tmp_path, evaluator):
    runner = train(tmp_path, epochs=1, val_evaluator=evaluator)
    line = lines_of(tmp_path)[-1]
    assert (line["split"], line["count"]) == ("val", 13)
    assert runner.best["metric"] == "share"
    assert runner.best["value"] == pytest.approx(line["share"])
    assert "all" not in line


def test_a_new_run_in_a_used_work_folder_sets_the_earlier_one_aside(tmp_path, caplog):
    train(tmp_path, epochs=4)
    with caplog.at_level(logging.INFO, logger="kinema"):
        second = train(tmp_path, epochs=2)
    assert "the files of the earlier run are in" in caplog.text
    assert json.loads((tmp_path / "earlier_1" / "summary.json").read_text())["epochs"] == 4
    assert (tmp_path / "earlier_1" / "checkpoints" / "step_00000016" / "model.safetensors").is_file()
    kept = sorted(entry.name for entry in (tmp_path / "checkpoints").iterdir() if entry.is_dir())
    assert kept == ["step_00000004", "step_00000008"]
    assert {line["epoch"] for line in lines_of(tmp_path)} == {1, 2}
    resumed = train(tmp_path, epochs=2, resume=True)
    assert all(
        torch.equal(a, b) for a, b in zip(weights_of(second).values(), weights_of(resumed).values(), strict=True)
    )
    train(tmp_path, epochs=1)
    assert (tmp_path / "earlier_2" / "summary.json").is_file()


def test_starting_from_weights_that_the_run_would_move_is_refused(tmp_path):
    train(tmp_path, epochs=1)
    with pytest.raises(
        ConfigError, match="lie in the work folder, whose files this run sets aside: give another work_dir"
    ):
        train(tmp_path, load_from=str(tmp_path / "checkpoints" / "step_00000004"))
    assert (tmp_path / "checkpoints" / "step_00000004").is_dir()


def test_a_resumed_run_with_nothing_left_says_so(tmp_path, caplog):
    train(tmp_path, epochs=2)
    with caplog.at_level(logging.WARNING, logger="kinema"):
        train(tmp_path, epochs=1, resume=True)
    assert "nothing left to train: max_epochs is 1" in caplog.text
    assert "resume = False" in (tmp_path / "config.py").read_text()


def test_a_misspelled_key_of_a_config_is_an_error_and_other_keys_are_listed(tmp_path, caplog) -> None:
    with pytest.raises(
        ConfigError, match="the config's key 'param_schedular' is not known: did you mean param_scheduler?"
    ):
        Runner.from_cfg(run_config(tmp_path, param_schedular=[]))
    with caplog.at_level(logging.INFO, logger="kinema"):
        Runner.from_cfg(run_config(tmp_path, dataset_type="VideoDataset", vis_backends=[], test_pipeline=[]))
    assert "keys of the config that the run does not read: dataset_type, vis_backends" in caplog.messages


def test_a_log_processor_makes_the_lines_of_the_log(tmp_path, caplog) -> None:
    settings = dict(num_digits=2, window_size=2, custom_cfg=[dict(data_src="loss", log_name="most", method_name="max")])
    hooks = dict(logger=dict(interval=2), timer=dict(type="IterTimerHook"))
    with caplog.at_level(logging.INFO, logger="kinema"):
        Runner.from_cfg(run_config(tmp_path, epochs=1, log_processor=settings, default_hooks=hooks)).train()
    lines = [text for text in caplog.messages if text.startswith("Epoch(")]
    assert [line.split("  ")[0] for line in lines[:2]] == ["Epoch(train) [1][2/4]", "Epoch(train) [1][4/4]"]
    assert re.fullmatch(
        r"Epoch\(train\) \[1\]\[2/4\]  lr: 9.98e-02  eta: 0:00:00  time: \S+  data_time: \S+  loss: \S+"
        r"  loss_cls: \S+  most: \S+",
        lines[0],
    )
    assert lines[2].startswith("Epoch(val) [1][2/3]    eta: ")  # for jobs without a terminal
    assert lines[3].startswith("Epoch(val) [1][3/3]    acc/top1: ")
    assert not any("validation  acc/top1" in text for text in caplog.messages)  # those figures again
    assert "time" not in json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])


def test_a_figure_of_several_lines_is_logged_line_by_line(tmp_path, caplog) -> None:
    settings = dict(val_evaluator=dict(type="ConfusionMatrix"), log_processor=dict(type="LogProcessor"))
    with caplog.at_level(logging.INFO, logger="kinema"):
        Runner.from_cfg(run_config(tmp_path, **settings)).val()
    assert any(text.startswith("tensor([[") and text.endswith("],") for text in caplog.messages)


def test_the_work_folder_says_where_each_value_of_the_config_was_written(tmp_path):
    text = f"from toy_run import run_config\nglobals().update(run_config({str(tmp_path / 'work')!r}))\n"
    (tmp_path / "own.py").write_text(text + "train_cfg = dict(\n    max_epochs=1,\n    val_interval=1)\n")
    config = Config.fromfile(tmp_path / "own.py")
    config.merge_from_dict({"train_cfg.val_interval": 2})
    Runner.from_cfg(config).train()
    origins = json.loads((tmp_path / "work" / "run.json").read_text())["origins"]
    expected = {"val_evaluator.type": 2, "train_cfg.max_epochs": 4}
    assert {key: origins[key] for key in expected} == {
        key: f"{(tmp_path / 'own.py').resolve()}:{line}" for key, line in expected.items()
    }
    assert origins["train_cfg.val_interval"] == "command line"
