"""ClearML, Neptune, DVCLive and Aim, as backends of a visualizer and trackers of a run.

Each library is imported and its run begins when the backend is first used.
"""

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from kinema.errors import MissingDependencyError
from kinema.registry import VISBACKENDS
from kinema.runs.vis_backend import BaseVisBackend, files_with_endings

Suffixes = str | Sequence[str]


class _HostedBackend(BaseVisBackend, ABC):
    """A backend over the run of a library, `_run`, which begins at the first use."""

    def __init__(self, save_dir: str | os.PathLike[str] | None, init_kwargs: Mapping[str, Any] | None) -> None:
        super().__init__(save_dir)
        self._init_kwargs = dict(init_kwargs or {})
        self._run: Any = None

    @abstractmethod
    def _init_env(self) -> None:
        """Begin the run."""

    def _library(self, name: str) -> Any:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            raise MissingDependencyError(
                f"{type(self).__name__} needs {name}, which cannot be imported ({error}): pip install"
                f" {name.partition('.')[0]}"
            ) from error

    @property
    def experiment(self) -> Any:
        """The run of the library.

        Raises:
            MissingDependencyError: the library is not installed.
        """
        if self._run is None:
            self._init_env()
        return self._run


@VISBACKENDS.register_module()
class ClearMLVisBackend(_HostedBackend):
    """Log to a task of ClearML.

    Args:
        save_dir: no effect: ClearML has a place of its own.
        init_kwargs: of `clearml.Task.init`.
        artifact_suffix: endings of files in the work folder that are uploaded at the end.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
        artifact_suffix: Suffixes = (".py", ".pth"),
    ) -> None:
        super().__init__(save_dir, init_kwargs)
        self._artifact_suffix = _endings(artifact_suffix)
        self._config: Any = None

    def _init_env(self) -> None:
        self._run = self._clearml = self._library("clearml")
        self._task = self._clearml.Task.init(**self._init_kwargs)
        self._logger = self._task.get_logger()

    def _report(self) -> Any:
        _ = self.experiment
        return self._logger

    def add_config(self, config: Any, **kwargs: Any) -> None:
        _ = self.experiment
        self._config = config
        self._task.connect_configuration(config.to_dict())

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        self._report().report_image(title=name, series=name, iteration=step, image=image)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        self._report().report_scalar(title=name, series=name, value=value, iteration=step)

    def close(self) -> None:
        if self._run is None:
            return
        work_dir = self._config.get("work_dir") if self._config is not None else None
        for file in files_with_endings(work_dir, self._artifact_suffix):
            self._task.upload_artifact(file.name, str(file))
        self._task.close()
        self._run = None


@VISBACKENDS.register_module()
class NeptuneVisBackend(_HostedBackend):
    """Log to a run of Neptune.

    Args:
        save_dir: no effect: Neptune has a place of its own.
        init_kwargs: of `neptune.init_run`; default: `mode="offline"`.
    """

    def __init__(
        self, save_dir: str | os.PathLike[str] | None = None, init_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(save_dir, init_kwargs or {"mode": "offline"})

    def _init_env(self) -> None:
        self._run = self._neptune = self._library("neptune").init_run(**self._init_kwargs)

    def add_config(self, config: Any, **kwargs: Any) -> None:
        self.experiment["config"].upload(self._library("neptune.types").File.from_content(config.pretty_text))

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        run = self.experiment
        picture = self._library("neptune.types").File.as_image(image.astype(np.float32) / 255)
        run["images"].append(picture, name=name, step=step)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        self.experiment[name].append(value, step=step)

    def close(self) -> None:
        if self._run is not None:
            self._run.stop()
            self._run = None


@VISBACKENDS.register_module()
class DVCLiveVisBackend(_HostedBackend):
    """Log to the files of DVCLive.

    Args:
        save_dir: their folder.
        artifact_suffix: endings of files in it that are logged as artifacts at the end.
        init_kwargs: of `dvclive.Live`.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        artifact_suffix: Suffixes = (".json", ".py", "yaml"),
        init_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(save_dir, init_kwargs)
        self._artifact_suffix = _endings(artifact_suffix)

    def _init_env(self) -> None:
        defaults = {"dir": self._save_dir, "save_dvc_exp": True, "cache_images": True}
        self._run = self._dvclive = self._library("dvclive").Live(**{**defaults, **self._init_kwargs})

    def add_config(self, config: Any, **kwargs: Any) -> None:
        self.experiment.log_params(_plain(config.to_dict()))

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        if image.dtype != np.uint8:
            raise TypeError(f"an image must be uint8, got {image.dtype}")
        self.experiment.log_image(f"{name}.png", image)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        self.experiment.step = step
        self.experiment.log_metric(name, _plain(value))

    def close(self) -> None:
        if self._run is None:
            return
        for file in files_with_endings(self._save_dir, self._artifact_suffix, below=True):
            self._run.log_artifact(str(file), str(file.parent.relative_to(self._save_dir)))
        self._run.end()
        self._run = None


@VISBACKENDS.register_module()
class AimVisBackend(_HostedBackend):
    """Log to a run of Aim.

    Args:
        save_dir: its last two parts name the experiment; default: the time.
        init_kwargs: of `aim.Run`.
    """

    def __init__(
        self, save_dir: str | os.PathLike[str] | None = None, init_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(save_dir, init_kwargs)

    def _init_env(self) -> None:
        parts = Path(self._save_dir).parts[-2:]
        name = "_".join(parts) if parts else datetime.now().strftime("%Y%m%d_%H%M%S")
        self._run = self._aim_run = self._library("aim").Run(**{"experiment": name, **self._init_kwargs})

    def add_config(self, config: Any, **kwargs: Any) -> None:
        self.experiment["hparams"] = config.to_dict() if hasattr(config, "to_dict") else config

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        self.experiment.track(name=name, value=self._library("aim").Image(image), step=step)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        self.experiment.track(name=name, value=value, step=step)

    def close(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None


def _endings(suffixes: Suffixes) -> tuple[str, ...]:
    return (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)


def _plain(value: Any) -> Any:
    """Arrays, tensors and numbers of numpy as lists and numbers of Python."""
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value.tolist() if hasattr(value, "tolist") else value
