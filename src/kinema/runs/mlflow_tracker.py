"""MLflow: a data base in the work folder, or a server."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kinema.errors import ConfigError
from kinema.registry import VISBACKENDS
from kinema.runs.settings_file import flat
from kinema.runs.trackers import LoggedSteps, RunInfo, in_split, library
from kinema.runs.vis_backend import BaseVisBackend, files_with_endings

_NOT_IN_A_NAME = re.compile(r"[^\w\-. :/]")  # of a metric or a parameter
_LONGEST_VALUE = 500  # characters
_AT_ONCE = 100  # parameters
_STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


@VISBACKENDS.register_module(name=["mlflow", "MLflowVisBackend"])
class MLflowTracker(BaseVisBackend):
    """Log figures and the config to MLflow.

    A resumed run continues the run of the same id; steps that it makes again keep the figures that
    are there.

    Args:
        save_dir: folder for the data base; default: the work folder.
        exp_name: the experiment.
        run_name: default: that of the run's experiment.
        tags: of the run.
        params: further parameters of the run.
        tracking_uri: a server or data base, such as "http://localhost:5000" or
            "sqlite:///mlflow.db"; default: as MLFLOW_TRACKING_URI says, else `mlflow.db` in
            `save_dir`, which `mlflow ui --backend-store-uri sqlite:///work/NAME/mlflow.db` shows.
        artifact_suffix: endings of files of the work folder that `close` of a visualizer uploads.
        tracked_config_keys: keys of the config that `add_config` records; default: all.
        artifact_location: folder or address for files of a new experiment.

    Raises:
        MissingDependencyError: the package mlflow is not installed.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None = None,
        exp_name: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        tracking_uri: str | None = None,
        artifact_suffix: str | Sequence[str] = (".json", ".log", ".py", "yaml"),
        tracked_config_keys: Sequence[str] | None = None,
        artifact_location: str | None = None,
    ) -> None:
        super().__init__(save_dir)
        self._mlflow = library("mlflow", "mlflow")
        self.save_dir = save_dir
        self.exp_name = exp_name or "kinema"
        self.run_name = run_name
        self.tags = dict(tags or {})
        self.params = dict(params or {})
        self.artifact_suffix = (artifact_suffix,) if isinstance(artifact_suffix, str) else tuple(artifact_suffix)
        self.tracked_config_keys = tracked_config_keys
        self.artifact_location = artifact_location
        self._config: Any = None
        self._active = False
        self._uri = ""
        self.tracking_uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        self.id: str | None = None
        self._client: Any = None

    def start(self, run: RunInfo) -> None:
        """Begin, or continue the run of `id`.

        Raises:
            ConfigError: the data base or the server cannot be used.
        """
        folder = Path(self.save_dir or run.work_dir).absolute()
        uri = self._uri = self._uri_in(folder)
        file = run.work_dir / "mlflow_steps.json"
        self.id = self.id or LoggedSteps.run_id(file)
        try:
            self._client = self._mlflow.MlflowClient(tracking_uri=uri)
            if self.id is None:
                self._begin(run, folder)
            else:
                self._client.update_run(self.id, status="RUNNING")
            self._steps = LoggedSteps(file, self.id)
            self._steps.settle(self._is_there)
        except self._mlflow.MlflowException as error:
            text = " ".join(str(error).split())
            raise ConfigError(f"the tracker 'mlflow' cannot use {uri}: {text}") from error

    def _is_there(self, split: str, step: int) -> bool:
        names = [name for name in self._client.get_run(self.id).data.metrics if name.startswith(f"{split}/")]
        return any(metric.step == step for name in names for metric in self._client.get_metric_history(self.id, name))

    def _uri_in(self, folder: Path) -> str:
        return self.tracking_uri or f"sqlite:///{folder / 'mlflow.db'}"

    def _begin(self, run: RunInfo, folder: Path) -> None:
        experiment = self._client.get_experiment_by_name(self.exp_name)
        if experiment is not None:
            experiment_id = experiment.experiment_id
        else:  # a server has a place for files of its own
            place = self.artifact_location or (None if self.tracking_uri else (folder / "mlflow_files").as_uri())
            experiment_id = self._client.create_experiment(self.exp_name, artifact_location=place)
        created = self._client.create_run(experiment_id, tags=self.tags, run_name=self.run_name or run.name)
        self.id = created.info.run_id
        values = {**flat({**run.config, "run": run.description}), **self.params}
        parameters = [
            self._mlflow.entities.Param(_NOT_IN_A_NAME.sub("_", name), str(value)[:_LONGEST_VALUE])
            for name, value in values.items()
        ]
        for first in range(0, len(parameters), _AT_ONCE):
            self._client.log_batch(self.id, params=parameters[first : first + _AT_ONCE])

    def log(self, figures: Mapping[str, float], step: int, split: str) -> None:
        if self._steps.has(split, step):
            return
        now = int(1000 * time.time())
        metrics = [
            self._mlflow.entities.Metric(_NOT_IN_A_NAME.sub("_", name), value, now, step)
            for name, value in in_split(figures, split).items()
        ]
        self._steps.begin(split, step)
        self._client.log_batch(self.id, metrics=metrics)
        self._steps.note(split, step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        if self._active:  # by a visualizer of the run
            self._mlflow.end_run()
            self._active = False
        best = summary.get("best") or {}
        if best:
            self._client.set_tag(self.id, f"best/{best['metric']}", str(best["value"]))
        self._client.set_terminated(self.id, _STATES.get(str(summary.get("state")), "FINISHED"))

    # ---- a visualizer's backend

    def _init_env(self) -> None:
        """Begin with the functions of the module: the run of Kinema where there is one, or else a new one."""
        mlflow = self._mlflow
        if self._client is not None:
            mlflow.set_tracking_uri(self._uri)
            mlflow.start_run(run_id=self.id)
        else:
            folder = Path(self._save_dir).absolute()
            folder.mkdir(parents=True, exist_ok=True)
            mlflow.set_tracking_uri(self._uri_in(folder))
            if mlflow.get_experiment_by_name(self.exp_name) is None:
                mlflow.create_experiment(self.exp_name, artifact_location=self.artifact_location)
            mlflow.set_experiment(self.exp_name)
            mlflow.start_run(run_name=self.run_name, tags=self.tags or None)
            if self.params:
                mlflow.log_params(self.params)
        self._active = True

    @property
    def experiment(self) -> Any:
        """The module mlflow, with an active run."""
        if not self._active:
            self._init_env()
        return self._mlflow

    def add_config(self, config: Any, **kwargs: Any) -> None:
        self._config = config
        keys = self.tracked_config_keys
        tracked = config.to_dict() if keys is None else {key: config[key] for key in keys}
        mlflow = self.experiment
        mlflow.log_params(
            {_NOT_IN_A_NAME.sub("_", name): str(value)[:_LONGEST_VALUE] for name, value in flat(tracked).items()}
        )
        mlflow.log_text(config.pretty_text, "config.py")

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        self.experiment.log_image(image, name if Path(name).suffix else f"{name}_{step}.png")

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        self.experiment.log_metric(name, value, step)

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        if "step" in scalar_dict:
            raise ValueError("scalar_dict must not have the key 'step': it is an argument of its own")
        self.experiment.log_metrics(dict(scalar_dict), step)

    def close(self) -> None:
        """Upload the files of the work folder, and end the run that a visualizer began."""
        if not self._active:
            return
        work_dir = self._config.get("work_dir") if self._config is not None else None
        for file in files_with_endings(work_dir, self.artifact_suffix, below=True):
            place = os.path.relpath(file.parent, work_dir)
            self._mlflow.log_artifact(str(file), None if place == "." else place)
        self._mlflow.end_run()
        self._active = False

    def state_dict(self) -> dict[str, Any]:
        return {"id": self.id}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.id = state.get("id")
