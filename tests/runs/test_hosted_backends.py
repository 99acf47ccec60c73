"""Backends over hosted services, on small libraries that write down what they are asked."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinema.config import Config
from kinema.errors import MissingDependencyError
from kinema.runs import (
    AimVisBackend,
    BaseVisBackend,
    ClearMLVisBackend,
    DVCLiveVisBackend,
    MLflowTracker,
    NeptuneVisBackend,
    RunInfo,
    WandbTracker,
)
from kinema.runs.trackers import build_trackers, tracker_name

IMAGE = np.full((2, 2, 3), 255, np.uint8)


class Recorder:
    """Any object of a library: keeps names of calls with their arguments, and gives itself back."""

    def __init__(self, calls: list[Any], name: str = "") -> None:
        self.__dict__.update(calls=calls, name=name)

    def __getattr__(self, name: str) -> "Recorder":
        return Recorder(self.calls, f"{self.name}.{name}".lstrip("."))

    def __getitem__(self, name: str) -> "Recorder":
        return Recorder(self.calls, f"{self.name}[{name}]")

    def __setitem__(self, name: str, value: Any) -> None:
        self.calls.append((f"{self.name}[{name}]=", value))

    def __setattr__(self, name: str, value: Any) -> None:
        self.calls.append((f"{self.name}.{name}=", value))

    def __call__(self, *args: Any, **kwargs: Any) -> "Recorder":
        self.calls.append((self.name, *args, *kwargs.items()))
        return self


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    made: list[Any] = []
    for name in ("clearml", "neptune", "neptune.types", "dvclive", "aim", "wandb", "mlflow"):
        module = types.ModuleType(name)
        module.__getattr__ = Recorder(made).__getattr__  # type: ignore[method-assign]
        monkeypatch.setitem(sys.modules, name, module)
    return made


def use(backend: BaseVisBackend, work_dir: Path) -> None:
    """All that a visualizer asks of a backend."""
    backend.add_config(Config(dict(work_dir=str(work_dir), width=np.int64(8), scale=(1, 2))))
    backend.add_image("img", IMAGE, step=3)
    backend.add_scalar("loss", np.float32(0.5), step=4)
    backend.add_scalars({"acc": 1.0}, step=5)
    backend.close()


def test_clearml_reports_to_a_task_and_uploads_what_the_run_wrote(calls: list[Any], tmp_path: Path) -> None:
    for name in ("epoch_1.pth", "config.py", "log.txt"):
        (tmp_path / name).touch()
    backend = ClearMLVisBackend(init_kwargs=dict(project_name="p"))
    assert calls == []  # the task begins when it is used
    use(backend, tmp_path)
    names = [call[0] for call in calls]
    assert calls[0] == ("Task.init", ("project_name", "p"))
    assert [name for name in names if "report" in name] == [
        "Task.init.get_logger.report_image",
        *["Task.init.get_logger.report_scalar"] * 2,
    ]
    uploads = [call[1] for call in calls if call[0].endswith("upload_artifact")]
    assert (uploads, names[-1]) == (["config.py", "epoch_1.pth"], "Task.init.close")


def test_neptune_appends_to_series(calls: list[Any], tmp_path: Path) -> None:
    use(NeptuneVisBackend(), tmp_path)
    assert calls[0] == ("init_run", ("mode", "offline"))
    assert ("init_run[acc].append", 1.0, ("step", 5)) in calls
    assert any(call[0] == "File.as_image" and call[1].max() == 1 for call in calls)
    assert calls[-1] == ("init_run.stop",)


def test_dvclive_writes_plain_values_into_its_folder(calls: list[Any], tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.json").touch()
    backend = DVCLiveVisBackend(str(tmp_path))
    use(backend, tmp_path)
    assert calls[0] == ("Live", ("dir", str(tmp_path)), ("save_dvc_exp", True), ("cache_images", True))
    assert ("Live.log_params", dict(work_dir=str(tmp_path), width=8, scale=[1, 2])) in calls
    assert [call for call in calls if call[0] in ("Live.step=", "Live.log_metric")] == [
        ("Live.step=", 4),
        ("Live.log_metric", "loss", 0.5),
        ("Live.step=", 5),
        ("Live.log_metric", "acc", 1.0),
    ]
    assert calls[-2:] == [("Live.log_artifact", str(tmp_path / "sub" / "a.json"), "sub"), ("Live.end",)]
    with pytest.raises(TypeError, match="an image must be uint8, got float64"):
        backend.add_image("img", IMAGE / 2)


def test_aim_tracks_by_name(calls: list[Any], tmp_path: Path) -> None:
    use(AimVisBackend("work/run/vis_data", init_kwargs=dict(repo="r")), tmp_path)
    assert calls[0] == ("Run", ("experiment", "run_vis_data"), ("repo", "r"))
    assert ("Run.track", ("name", "acc"), ("value", 1.0), ("step", 5)) in calls
    assert calls[-1] == ("Run.close",)


def test_wandb_logs_for_a_visualizer(calls: list[Any], tmp_path: Path) -> None:
    metrics = [dict(name="loss", summary="min")]
    backend = WandbTracker(str(tmp_path / "new"), dict(project="p"), metrics, False, "code", dict(log="all"))
    backend.add_graph("model", None)
    use(backend, tmp_path)
    assert (tmp_path / "new").is_dir()
    assert calls[:3] == [
        ("init", ("dir", str(tmp_path / "new")), ("project", "p")),
        ("define_metric", ("name", "loss"), ("summary", "min")),
        ("watch", "model", ("log", "all")),
    ]
    assert ("run.log_code", ("name", "code")) in calls
    assert ("log", {"loss": np.float32(0.5)}, ("commit", False)) in calls
    assert ("log", {"acc": 1.0}, ("commit", False)) in calls
    assert calls[-1] == ("init.finish",)
    WandbTracker(define_metric_cfg={"acc": "max"}).experiment.log({})
    assert calls[-2] == ("define_metric", "acc", ("summary", "max"))
    with pytest.raises(TypeError, match="define_metric_cfg must be a dict or a list, got str"):
        WandbTracker(define_metric_cfg="acc")  # type: ignore[arg-type]


def test_mlflow_logs_for_a_visualizer(calls: list[Any], tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.log", "sub/b.json", "c.txt"):
        (tmp_path / name).touch()
    backend = MLflowTracker(str(tmp_path), "exp", "run", params=dict(p=1), tracked_config_keys=["width"])
    use(backend, tmp_path)
    named = {call[0]: call[1:] for call in calls}
    assert named["set_experiment"] == ("exp",)
    assert named["log_params"] == ({"width": "8"},)
    assert named["log_metric"] == ("loss", np.float32(0.5), 4)
    assert named["log_metrics"] == ({"acc": 1.0}, 5)
    assert named["log_image"][1] == "img_3.png"
    uploads = [call[1:] for call in calls if call[0] == "log_artifact"]
    assert uploads == [(str(tmp_path / "a.log"), None), (str(tmp_path / "sub" / "b.json"), "sub")]
    assert calls[-1] == ("end_run",)


@pytest.mark.parametrize("backend", [ClearMLVisBackend, NeptuneVisBackend, AimVisBackend, MLflowTracker])
def test_a_dict_of_figures_has_no_step_of_its_own(backend: type[BaseVisBackend], calls: list[Any]) -> None:
    with pytest.raises(ValueError, match="scalar_dict must not have the key 'step'"):
        backend().add_scalars({"step": 1})


def test_figures_are_a_dict(calls: list[Any]) -> None:
    with pytest.raises(TypeError, match="scalar_dict must be a dict, got list"):
        AimVisBackend().add_scalars([1])  # type: ignore[arg-type]


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aim", None)
    with pytest.raises(MissingDependencyError, match="AimVisBackend needs aim, .* pip install aim"):
        _ = AimVisBackend().experiment


class Listed(BaseVisBackend):
    """A user's backend."""

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir)
        self.calls: list[Any] = []

    def add_config(self, config: Any, **kwargs: Any) -> None:
        self.calls.append(config["width"])

    def add_scalars(self, scalar_dict: Any, step: int = 0, file_path: str | None = None, **kwargs: Any) -> None:
        self.calls.append((step, scalar_dict))

    def close(self) -> None:
        self.calls.append("closed")


def test_a_users_backend_gets_the_config_figures_and_end_of_a_run(tmp_path: Path) -> None:
    (backend,) = build_trackers([dict(type=Listed)], tmp_path / "vis_data")
    assert isinstance(backend, Listed)
    backend.start(RunInfo("toy", tmp_path, config=dict(width=8)))
    assert backend._save_dir == str(tmp_path / "vis_data")
    aim = AimVisBackend()
    aim.add_config = lambda config: None  # type: ignore[method-assign]
    aim.start(RunInfo("toy", tmp_path))
    assert aim._save_dir == str(tmp_path / "vis_data")
    backend.log({"loss": 0.5}, 1, "train")
    backend.log({"loss": 0.7, "acc/top1": 1.0}, 1, "val")
    backend.finish({})
    assert backend.calls == [8, (1, {"loss": 0.5}), (1, {"val/loss": 0.7, "acc/top1": 1.0}), "closed"]
    assert tracker_name(dict(type=Listed)) == "Listed" == tracker_name(backend)
