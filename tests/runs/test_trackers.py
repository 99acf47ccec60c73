"""Trackers: which a config asks for, and what they write of a run that is resumed."""

import os
import subprocess
import sys

import pytest

from kinema.errors import ConfigError, MissingDependencyError, RegistryError
from kinema.registry import VISBACKENDS
from kinema.runs.records import MetricsFile
from kinema.runs.settings_file import flat
from kinema.runs.trackers import LoggedSteps, RunInfo, Tracker, build_trackers, in_split, tracker_configs

EXTRAS = ("tensorboard", "wandb", "mlflow")


class Recorder:
    """A tracker of one's own."""

    def __init__(self):
        self.lines = []

    def start(self, run):
        self.lines.append(("start", run.step))

    def log(self, figures, step, split):
        self.lines.append((split, step, dict(figures)))

    def finish(self, summary):
        self.lines.append(("finish", summary["state"]))

    def state_dict(self):
        return {}

    def load_state_dict(self, state): ...


def test_trackers_are_named_described_or_objects():
    own = Recorder()
    assert isinstance(own, Tracker)
    assert tracker_configs(["tensorboard", dict(type="wandb", mode="offline"), own]) == [
        {"type": "tensorboard"},
        {"type": "wandb", "mode": "offline"},
        own,
    ]
    assert tracker_configs("mlflow") == tracker_configs([dict(type="mlflow")]) == [{"type": "mlflow"}]
    assert tracker_configs(None) == tracker_configs([]) == []


def test_the_same_tracker_is_not_asked_for_twice():
    assert tracker_configs(["tensorboard", dict(type="tensorboard")]) == [{"type": "tensorboard"}]


def test_backends_of_an_openmmlab_visualizer_are_trackers():
    backends = [dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend"), dict(type="WandbVisBackend")]
    visualizer = dict(type="ActionVisualizer", vis_backends=backends)
    assert tracker_configs(None, visualizer) == backends[1:]
    assert tracker_configs(["mlflow"], visualizer) == [{"type": "mlflow"}, *backends[1:]]
    assert tracker_configs(None, dict(type="Visualizer")) == []
    for name, backend in zip(EXTRAS, ("TensorboardVisBackend", "WandbVisBackend", "MLflowVisBackend"), strict=True):
        assert VISBACKENDS.get(name) is VISBACKENDS.get(backend)


@pytest.mark.parametrize("entry", [3, {}, {"name": "x"}, object])
def test_what_is_no_tracker_is_named(entry):
    with pytest.raises(ConfigError, match=r"^trackers: expected a name such as 'tensorboard', dict\(type=.*got"):
        tracker_configs([entry])
    with pytest.raises(ConfigError, match=r"^visualizer\.vis_backends: expected"):
        tracker_configs(None, {"vis_backends": [entry]})


def test_a_tracker_of_an_unknown_name_is_named_with_the_nearest():
    with pytest.raises(RegistryError, match="tensorbord.*tracker.*tensorboard"):
        build_trackers([{"type": "tensorbord"}])


def test_a_part_that_lacks_the_methods_of_a_tracker_is_refused():
    class Half:
        def log(self, figures, step, split): ...

    with pytest.raises(ConfigError, match="Half is no tracker: it needs the methods start, log, finish"):
        build_trackers([{"type": Half}])


@pytest.mark.parametrize("name", EXTRAS)
def test_a_library_that_is_absent_names_its_extra(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # imported by another test, it would be found
    with pytest.raises(
        MissingDependencyError, match=rf"^the tracker '{name}' needs .* pip install 'kinema\[{name}\]'$"
    ):
        build_trackers([{"type": name}])


def test_figures_are_grouped_by_split_and_configs_are_flat():
    assert in_split({"loss": 1, "acc/top1": 0.5}, "val") == {"val/loss": 1.0, "val/acc/top1": 0.5}
    config = {"train_cfg": {"max_epochs": 2}, "hooks": [{"type": "A"}, {"type": "B"}], "classes": ["a", "b"]}
    assert flat(config) == {
        "train_cfg.max_epochs": 2,
        "hooks.0.type": "A",
        "hooks.1.type": "B",
        "classes": ["a", "b"],
    }


def test_steps_that_a_run_of_a_tracker_has_are_known_after_a_kill(tmp_path):
    file = tmp_path / "steps.json"
    steps = LoggedSteps(file, "abc")
    assert not steps.has("train", 1)
    for step in (1, 4):
        steps.note("train", step)
    steps.note("val", 2)
    assert not steps.has("val", 2)  # more figures of a step may follow
    again = LoggedSteps(file, "abc")
    assert [again.has("train", step) for step in (3, 4, 5)] == [True, True, False]
    assert [again.has("val", step) for step in (2, 3)] == [True, False]
    assert LoggedSteps.run_id(file) == "abc"
    assert not LoggedSteps(file, "another run").has("train", 1)


def test_figures_that_a_kill_came_between_are_asked_for(tmp_path):
    file = tmp_path / "steps.json"
    steps = LoggedSteps(file, "abc")
    steps.note("train", 3)
    steps.begin("train", 4)  # killed
    lost, sent = LoggedSteps(file, "abc"), LoggedSteps(file, "abc")
    lost.settle(lambda split, step: False)
    sent.settle(lambda split, step: (split, step) == ("train", 4))
    assert [lost.has("train", 4), sent.has("train", 4), sent.has("train", 5)] == [False, True, False]


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"id": "abc", "last": {"train": ', '{"id": "abc", "last": {"train": "x"}}', "3"]
)
def test_damaged_notes_of_steps_count_for_nothing(tmp_path, text):
    (tmp_path / "steps.json").write_text(text)
    assert not LoggedSteps(tmp_path / "steps.json", "abc").has("train", 1)


# ---- the libraries themselves


def run_twice(tracker_config, work_dir):
    """Steps 1 to 4 of a run, which is killed and resumed from step 2 to 5."""
    first, second = (build_trackers([tracker_config])[0] for _ in range(2))
    info = {"name": "toy", "work_dir": work_dir, "config": {"train_cfg": {"max_epochs": 2}, "hooks": [{"a": 1}]}}
    first.start(RunInfo(**info, description={"command": ["kinema", "train"], "seed": 3}))
    for step in (1, 2):
        first.log({"loss": 1.0 / step}, step, "train")
    state = first.state_dict()
    for step in (3, 4):
        first.log({"loss": 1.0 / step}, step, "train")
    first.finish({"state": "stopped"})
    second.load_state_dict(state)
    second.start(RunInfo(**info, step=2))
    for step in (3, 4, 5):
        second.log({"loss": 10.0 * step}, step, "train")
    second.log({"acc/top1": 0.5}, 5, "val")
    second.finish({"state": "finished", "best": {"metric": "acc/top1", "value": 0.5}})
    assert second.state_dict() == state
    return state


def test_tensorboard_shows_each_step_of_a_resumed_run_once(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_twice({"type": "tensorboard"}, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [
        *((1, 1.0), (2, 0.5)),
        *((3, 30.0), (4, 40.0), (5, 50.0)),
    ]
    assert [(event.step, event.value) for event in events.Scalars("val/acc/top1")] == [(5, 0.5)]


def test_tensorboard_writes_where_it_is_asked_to(tmp_path):
    pytest.importorskip("tensorboard")
    (tracker,) = build_trackers([{"type": "TensorboardVisBackend", "save_dir": tmp_path / "events"}])
    tracker.start(RunInfo("toy", tmp_path / "work"))
    tracker.finish({"state": "finished"})
    assert [file.name.startswith("events.out.") for file in (tmp_path / "events").iterdir()] == [True]
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_continues_the_same_run_offline(tmp_path):
    pytest.importorskip("wandb")
    state = run_twice({"type": "wandb", "mode": "offline", "project": "toys"}, tmp_path)
    folders = [folder.name for folder in (tmp_path / "wandb").iterdir() if folder.name.startswith("offline-run")]
    assert len(folders) == 2
    assert all(name.endswith(state["id"]) for name in folders)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_has_each_step_once_when_a_kill_lost_what_it_had_not_written(tmp_path):
    pytest.importorskip("wandb")
    from kinema.runs.wandb_files import steps_in_files

    code = (
        "import os, sys; from pathlib import Path; from kinema.runs.trackers import RunInfo, build_trackers;"
        "from kinema.runs.records import MetricsFile; work = Path(sys.argv[1]);"
        "(tracker,) = build_trackers([dict(type='wandb', mode='offline')]); tracker.start(RunInfo('toy', work));"
        "file = MetricsFile(work / 'metrics.jsonl');\n"
        "for step in range(1, 6):\n"
        "    file.write(step=step, epoch=1, split='train', figures={'loss': 0.5}, seconds=1.0)\n"
        "    tracker.log({'loss': 0.5, 'pace': 3.0}, step, 'train')\n"
        "os.kill(os.getpid(), 9)"
    )
    alone = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}  # of another test
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False, capture_output=True, timeout=300, env=alone)
    MetricsFile(tmp_path / "metrics.jsonl").load_state_dict({"lines": 3})  # as the checkpoint of step 3 says
    tracker = build_trackers([{"type": "wandb", "mode": "offline"}])[0]
    tracker.start(RunInfo("toy", tmp_path, step=3))
    for step in (4, 5, 6):
        tracker.log({"loss": 0.25}, step, "train")
    tracker.finish({"state": "finished"})
    files = sorted(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    assert [file.stem for file in files] == [f"run-{tracker.id}"] * 2
    assert steps_in_files(files) == {"train": {1, 2, 3, 4, 5, 6}}
    assert sum(len(steps_in_files([file]).get("train", ())) for file in files) == 6


@pytest.mark.filterwarnings("ignore")
def test_wandb_that_refuses_is_an_error_that_says_what_to_do(tmp_path):
    pytest.importorskip("wandb")
    (tracker,) = build_trackers([{"type": "wandb", "init_kwargs": {"mode": "sideways"}}])
    with pytest.raises(ConfigError, match=r"the tracker 'wandb' cannot start: .*sideways.*wandb login.*offline"):
        tracker.start(RunInfo("toy", tmp_path))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_continues_the_same_run_in_a_data_base_of_the_work_folder(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    state = run_twice({"type": "mlflow", "tags": {"who": "ada"}}, tmp_path / "work")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'work' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("kinema").experiment_id])
    assert run.info.run_id == state["id"]
    assert (run.info.status, run.info.run_name) == ("FINISHED", "toy")
    assert run.data.params["train_cfg.max_epochs"] == "2"
    assert run.data.params["run.seed"] == "3"
    assert run.data.tags["best/acc/top1"] == "0.5"
    assert run.data.tags["who"] == "ada"
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [
        *((1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3)), (4, 0.25)),  # steps 3 and 4 of the killed run
        (5, 50.0),
    ]
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.filterwarnings("ignore")
def test_mlflow_that_cannot_reach_its_data_base_is_an_error(tmp_path):
    pytest.importorskip("mlflow")
    (tracker,) = build_trackers([{"type": "mlflow", "tracking_uri": "nowhere://x"}])
    with pytest.raises(ConfigError, match=r"the tracker 'mlflow' cannot use nowhere://x: "):
        tracker.start(RunInfo("toy", tmp_path))
