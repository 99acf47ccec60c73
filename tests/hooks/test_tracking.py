"""Trackers get what a run reports, and continue with it when it is resumed."""

import json

import pytest
from toy_run import run_config

from kinema.engine import Hook, Runner
from kinema.errors import ConfigError, StorageError
from kinema.hooks import TrackingHook
from kinema.openmmlab import run_files
from kinema.registry import VISBACKENDS


class Recorder:
    """A tracker that keeps what it gets, and whose state is a number of its own."""

    def __init__(self):
        self.lines, self.name = [], None

    def start(self, run):
        self.name = self.name or f"run of {run.name}"
        self.lines.append(("start", run.step, run.config["train_cfg"]["max_epochs"], run.description["seed"]))

    def log(self, figures, step, split):
        self.lines.append((split, step, dict(figures)))

    def finish(self, summary):
        self.lines.append(("finish", summary["state"]))

    def state_dict(self):
        return {"name": self.name}

    def load_state_dict(self, state):
        self.name = state["name"]


class StopAt(Hook):
    """Stop as a signal does, or fail."""

    def __init__(self, step, error=KeyboardInterrupt):
        self.step, self.error = step, error

    def at_border(self, runner):
        if runner.progress.step == self.step:
            raise self.error


def train(work_dir, tracker, **changes):
    runner = Runner.from_cfg(run_config(work_dir, trackers=[tracker], **changes))
    runner.train()
    return runner


def test_a_tracker_gets_the_figures_of_training_and_validation_with_their_pace(tmp_path):
    recorder = Recorder()
    train(tmp_path, recorder, epochs=2)
    assert recorder.lines[0] == ("start", 0, 2, 7)
    assert [line[:2] for line in recorder.lines[1:-1]] == [
        *(("train", 2), ("train", 4), ("val", 4), ("train", 6), ("train", 8), ("val", 8))
    ]
    written = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for line, (split, step, figures) in zip(written, recorder.lines[1:-1], strict=True):
        assert (line["split"], line["step"]) == (split, step)
        assert figures.items() >= {name: line[name] for name in line.keys() & {"loss", "lr", "acc/top1"}}.items()
    assert {"loss", "lr", "clips_per_second", "data_share"} <= recorder.lines[1][2].keys()
    assert "clips_per_second" not in written[0]
    assert recorder.lines[-1] == ("finish", "finished")


def test_the_tracker_of_a_resumed_run_continues_its_own_run(tmp_path):
    first, second = Recorder(), Recorder()
    with pytest.raises(RuntimeError):
        train(tmp_path, first, custom_hooks=[StopAt(8, RuntimeError("a bug"))])
    assert first.lines[-1] == ("finish", "failed")
    first.name = "another"
    train(tmp_path, second, resume=True)
    assert second.name == f"run of {tmp_path.name}"
    assert second.lines[0][:2] == ("start", 4)
    assert [line[1] for line in second.lines if line[0] == "train"] == [6, 8, 10, 12]


def test_a_tracker_that_fails_does_not_end_the_run(tmp_path, caplog):
    class Failing(Recorder):
        def log(self, figures, step, split):
            super().log(figures, step, split)
            raise ConnectionError("the server is gone\nmore")

    failing = Failing()
    train(tmp_path, failing, epochs=1)
    assert [line[0] for line in failing.lines] == ["start", "train"]
    assert [message for message in caplog.messages if "no more figures" in message] == [
        "Failing gets no more figures: the server is gone"
    ]


def test_a_full_disk_of_a_tracker_is_that_of_the_run(tmp_path):
    class Full(Recorder):
        def log(self, figures, step, split):
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="no room in"):
        train(tmp_path, Full(), epochs=1)


def test_a_tracker_that_cannot_start_ends_the_run_before_its_first_step(tmp_path):
    class Refused(Recorder):
        def start(self, run):
            raise ConfigError("no account")

    with pytest.raises(ConfigError, match="no account"):
        train(tmp_path, Refused())
    assert not (tmp_path / "metrics.jsonl").exists()


def test_trackers_are_named_in_the_config_or_in_that_of_a_visualizer(tmp_path):
    VISBACKENDS.register_module(name="recorder", module=Recorder, force=True)
    visualizer = {"type": "ActionVisualizer", "vis_backends": [{"type": "LocalVisBackend"}, {"type": "recorder"}]}
    for config in ({"trackers": ["recorder"]}, {"visualizer": visualizer}):
        runner = Runner.from_cfg(run_config(tmp_path, **config))
        (hook,) = [hook for hook in runner.hooks if isinstance(hook, TrackingHook)]
        assert [type(tracker) for tracker in hook.trackers.values()] == [Recorder]
    without = Runner.from_cfg(run_config(tmp_path, visualizer={"type": "Visualizer"}))
    assert not any(isinstance(hook, TrackingHook) for hook in without.hooks)


def test_the_figures_of_a_visualizer_have_the_places_that_openmmlabs_tools_read(tmp_path, monkeypatch):
    monkeypatch.setattr(run_files, "also_pth", True)
    visualizer = {"type": "Visualizer", "vis_backends": [{"type": "LocalVisBackend"}]}
    Runner.from_cfg(run_config(tmp_path, visualizer=visualizer)).train()
    lines = [json.loads(line) for line in (tmp_path / "vis_data" / "scalars.json").read_text().splitlines()]
    trained = [line for line in lines if "loss" in line]
    places = [(line["epoch"], line["iter"], line["step"]) for line in trained]
    assert places == [(1, 2, 2), (1, 4, 4), (2, 6, 6), (2, 8, 8), (3, 10, 10), (3, 12, 12)]
    assert all(line["time"] > line["data_time"] >= 0 for line in trained)
    assert [line["step"] for line in lines if "acc/top1" in line] == [1, 2, 3]


def test_a_run_that_only_evaluates_starts_no_tracker(tmp_path):
    recorder = Recorder()
    Runner.from_cfg(run_config(tmp_path, trackers=[recorder])).val()
    assert recorder.lines == []


def test_tensorboard_has_each_step_of_a_resumed_run_once(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(RuntimeError):
        train(tmp_path, "tensorboard", custom_hooks=[StopAt(7, RuntimeError("killed"))])
    train(tmp_path, "tensorboard", resume=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    written = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [(line["step"], pytest.approx(line["loss"])) for line in written if line["split"] == "train"]
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == losses
    assert [step for step, _ in losses] == [2, 4, 6, 8, 10, 12]
