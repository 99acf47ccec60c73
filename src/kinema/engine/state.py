"""What a run reads and writes of itself: weights, checkpoints, `.pth` files, its config."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinema.checkpoints.file_formats import load_published
from kinema.checkpoints.loading import load_checkpoint
from kinema.checkpoints.pretrained import log_report
from kinema.checkpoints.reading import read_checkpoint
from kinema.checkpoints.store import read_training_state
from kinema.config import Config
from kinema.distributed import is_main_process
from kinema.engine.facade import RunnerNames
from kinema.errors import ConfigError
from kinema.logs import only_to_files
from kinema.runs.message_hub import is_plain
from kinema.training.checkpoints import take_up
from kinema.training.openmmlab_files import newest_pth, resume_pth, write_pth


class RunnerState(RunnerNames):
    """A `Run` that loads, resumes and saves."""

    _load_from: Any
    _has_loaded: bool
    _taking_up: Callable[[], None] | None = None  # loads what the prepared training resumes

    def _prepare_training(self) -> None:
        """Build what trains; of the runner."""
        raise NotImplementedError

    def _take_up(self) -> None:
        """Resume what the prepared training found; once. Hooks have begun: some of them take up a state, too."""
        if self._taking_up is not None:
            taking_up, self._taking_up, self._has_loaded = self._taking_up, None, True
            taking_up()

    # ---- saving

    def dump_config(self) -> None:
        """Write the config of the run as `config.py` into the work folder, and under the name of its file, if any."""
        if is_main_process():
            self.work_dir.mkdir(parents=True, exist_ok=True)
            for name in {"config.py", self.cfg_name or f"{self.timestamp}.py"}:
                Config(dict(self.cfg)).dump(self.work_dir / name)

    def about_checkpoint(self) -> dict[str, Any]:
        """Config, experiment and what is known of the data, for `meta` in a `.pth` file."""
        try:
            config = Config(dict(self.cfg)).pretty_text
        except ConfigError:  # it holds objects
            config = ""
        facts = {key: value for key, value in self._metainfo.items() if is_plain(value)}
        return {
            "cfg": config,
            "experiment_name": self.experiment_name,
            "dataset_meta": {**facts, "classes": self.classes} if self.classes else facts,
        }

    def save_checkpoint(
        self,
        out_dir: str | os.PathLike,
        filename: str,
        file_client_args: Any = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: Mapping[str, Any] | None = None,
        by_epoch: bool = True,
        backend_args: Any = None,
    ) -> None:
        """Write a `.pth` file as MMEngine does, see `kinema.training.openmmlab_files`. All processes call it.

        Args:
            out_dir: folder of the file.
            filename: its name; `{}` in it stands for the epoch or iteration.
            file_client_args: None, or `dict(backend="disk")`: files are local.
            save_optimizer: whether the file holds the optimizer's state.
            save_param_scheduler: whether it holds the schedules' states.
            meta: further entries of its `meta`.
            by_epoch: `meta` counts the present epoch as done, otherwise the present batch.
            backend_args: None, or `dict(backend="local")`: files are local.

        Raises:
            ConfigError: there is no training, or the file is not to be local.
        """
        if self.train_step is None:
            raise ConfigError("save_checkpoint: no training has begun; save_pretrained of the model writes its weights")
        if (file_client_args or {}).get("backend", "disk") not in ("disk", "local") or (
            (backend_args or {}).get("backend", "local") != "local"
        ):
            raise ConfigError("save_checkpoint: files are local: leave file_client_args and backend_args out")
        if file_client_args and backend_args:
            raise ConfigError("save_checkpoint: give file_client_args or backend_args, not both")
        write_pth(
            self,
            Path(out_dir) / filename,
            {**self.about_checkpoint(), **(meta or {})},
            by_epoch=by_epoch,
            with_optimizer=save_optimizer,
            with_schedules=save_param_scheduler,
        )

    # ---- loading

    @property
    def _resume(self) -> bool:
        """Does the config ask to resume?"""
        return self.plan.resume

    def _pth_to_resume(self) -> Path | None:
        """The `.pth` file to resume: the named one, or the newest where there is no checkpoint of Kinema's."""
        if self._load_from is not None:
            return Path(self._load_from) if Path(self._load_from).is_file() else None
        return None if self.store.newest_first() else newest_pth(self.work_dir)

    def _init_model_weights(self) -> None:
        if hasattr(self.network, "init_weights") and not getattr(self.network, "is_init", False):
            with only_to_files():  # a line a parameter
                self.network.init_weights()

    def _load_weights(self) -> None:
        if self._load_from is not None:
            self.load_checkpoint(self._load_from)
            self._load_from = None

    def load_checkpoint(
        self,
        filename: str | os.PathLike,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: Sequence[tuple[str, str]] = ((r"^module\.", ""),),
    ) -> dict[str, Any]:
        """Load weights into the model, and return what else the file holds, with the weights as `state_dict`.

        Args:
            filename: a checkpoint's folder, or a file.
            map_location: without effect: weights are read on the CPU, then copied to the model's device.
            strict: whether weights that are missing or left over are an error.
            revise_keys: (regular expression, replacement) pairs for the names.

        Raises:
            CheckpointError: it cannot be read, or does not fit.
        """
        read = read_checkpoint(filename)
        content = {**read.content, "state_dict": read.state}
        self.call_hook("after_load_checkpoint", checkpoint=content)  # which may change the weights that are loaded
        read = replace(read, state=content["state_dict"])
        if load_published(self.network, read) is None:
            log_report(filename, load_checkpoint(self.network, read, strict=strict, revise_keys=tuple(revise_keys)))
        self._has_loaded = True
        return content

    def resume(
        self,
        filename: str | os.PathLike,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = "default",
    ) -> None:
        """Take a training up, before `train()`.

        Args:
            filename: a checkpoint's folder, which is taken up exactly, or a `.pth` file of Kinema's
                or OpenMMLab's, see `kinema.training.openmmlab_files.resume_pth`.
            resume_optimizer: whether the optimizer's state is taken.
            resume_param_scheduler: without effect: schedules are functions of the place.
            map_location: without effect.

        Raises:
            ConfigError: there is no training in the config.
            CheckpointError: it cannot be read, or does not fit.
        """
        self._check_training()
        if self.train_step is None and self.plan.resume:
            self.plan = replace(self.plan, resume=False)
        self._has_loaded = True
        self._prepare_training()
        self._load_from = None
        path = Path(filename)
        if path.is_dir():
            take_up(self, path, read_training_state(path))
        else:
            resume_pth(self, path, with_optimizer=resume_optimizer)

    def load_or_resume(self) -> None:
        """Do what `load_from` and `resume` of the config ask for, unless it is done."""
        if self._has_loaded:
            return
        if self.plan.resume:
            self._check_training()
            self._prepare_training()
            self._take_up()
        else:
            self._load_weights()

    def _check_training(self) -> None:
        if self.plan.train is None or self._optim_wrapper is None:
            raise ConfigError("training needs train_dataloader, train_cfg and optim_wrapper")
