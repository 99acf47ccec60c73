"""The runner: builds what a call needs, runs a loop, keeps the state of the run and writes its files.

The files of a work folder are listed in `kinema.runs.work_folder`.
"""

import inspect
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn
from torch.utils.data import DataLoader

from kinema import __version__
from kinema.checkpoints.contract import ModelContract, portable_config
from kinema.checkpoints.loading import load_checkpoint
from kinema.checkpoints.pretrained import log_report
from kinema.checkpoints.store import CheckpointStore, read_training_state
from kinema.config import Config
from kinema.config.values import check_types, naming
from kinema.datasets import ReproducibleLoader, build_dataloader
from kinema.datasets.samplers import draw_shared_seed
from kinema.distributed import choose_device, get_world_size, init_from_environment, is_main_process
from kinema.engine.checkpoints import CheckpointSettings, configs_of_pipeline
from kinema.engine.hooks import BrokenVideosHook, build_hooks
from kinema.engine.interrupt import DeferredInterrupt
from kinema.engine.loops import EpochBasedTrainLoop, TestLoop, ValLoop
from kinema.engine.optim import OptimWrapper, build_optim_wrapper, check_optim_config
from kinema.engine.parallel import ParallelModel
from kinema.engine.schedules import Position, Schedule, build_schedules, check_schedule_config
from kinema.errors import CheckpointError, ConfigError, StorageError
from kinema.evaluation import Evaluator
from kinema.evaluation.scalars import scalars
from kinema.files import lacks_room, write_text
from kinema.logs import log_to_file, only_to_files, show_on_console, stop_logging
from kinema.models.recognition import BaseRecognizer
from kinema.openmmlab.configs import hook_settings_not_read, keys_not_read, split_default_hooks
from kinema.openmmlab.keywords import accepts_openmmlab_keywords, needless_keywords
from kinema.randomness import capture_state, restore_state, seed_everything
from kinema.registry import EVALUATOR, LOOPS, MODELS, RUNNERS, TRANSFORMS, init_default_scope
from kinema.runs.history import summary_of, trailing_mean, validations_without_gain
from kinema.runs.records import MetricsFile, format_validation
from kinema.runs.settings_file import write_settings
from kinema.runs.work_folder import hold
from kinema.transforms.contract import split_pipeline

logger = logging.getLogger("kinema")


@RUNNERS.register_module()
@accepts_openmmlab_keywords
class Runner:
    """Train, validate and test a model. Every part is an object or its config.

    Args:
        model: a `BaseModel`, or its config.
        work_dir: folder for the files of the run.
        train_dataloader, val_dataloader, test_dataloader: loaders, or configs for
            `build_dataloader`.
        train_cfg: `dict(max_epochs=..., val_begin=1, val_interval=1)`.
        val_cfg, test_cfg: `dict()`; given or left out together with the loader and the evaluator.
        optim_wrapper: config for `build_optim_wrapper`, a wrapper, or an optimizer.
        param_scheduler: schedules of the learning rate, a config or a list.
        val_evaluator, test_evaluator: metrics, a config or a list of them, or an `Evaluator`.
        default_hooks: `dict(checkpoint=dict(max_keep_ckpts=3, save_best="auto", rule="greater",
            smooth=1), logger=dict(interval=20))`; the loops do what OpenMMLab's other default hooks
            do. An entry of another name or type is a hook like those of `custom_hooks`.
        custom_hooks: hooks, configs or objects.
        data_preprocessor: config, for a model config that has none.
        load_from: checkpoint whose weights to start from; with `resume` the one to go on from.
        resume: go on from `load_from`, or from the last checkpoint in the work folder.
        launcher: "none" or "pytorch" (started by torchrun).
        log_level: least level of records to show.
        default_scope: registry scope in which names are looked up first.
        randomness: `dict(seed=..., deterministic=False)`; without a seed one is drawn and logged.
        experiment_name: a name for `summary.json`.
        cfg: the resolved config that the work folder keeps.
        device: "auto", "cpu", "cuda", ...

    Raises:
        ConfigError: a part is missing or does not fit another.
    """

    def __init__(
        self,
        model: nn.Module | Mapping[str, Any],
        work_dir: str | os.PathLike,
        train_dataloader: DataLoader | Mapping[str, Any] | None = None,
        val_dataloader: DataLoader | Mapping[str, Any] | None = None,
        test_dataloader: DataLoader | Mapping[str, Any] | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        val_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        *,
        optim_wrapper: Any = None,
        param_scheduler: Any = None,
        val_evaluator: Any = None,
        test_evaluator: Any = None,
        default_hooks: Mapping[str, Any] | None = None,
        custom_hooks: Sequence[Any] | None = None,
        data_preprocessor: Mapping[str, Any] | None = None,
        load_from: str | os.PathLike | None = None,
        resume: bool = False,
        launcher: str = "none",
        log_level: int | str = "INFO",
        default_scope: str | None = None,
        randomness: Mapping[str, Any] | None = None,
        experiment_name: str | None = None,
        cfg: Mapping[str, Any] | None = None,
        device: str = "auto",
    ) -> None:
        self._configs = {
            "train": (train_dataloader, train_cfg, None),
            "val": (val_dataloader, val_cfg, val_evaluator),
            "test": (test_dataloader, test_cfg, test_evaluator),
        }
        _require_groups(self._configs)
        show_on_console(log_level)
        if launcher not in ("none", "pytorch"):
            raise ConfigError(f"launcher must be 'none' or 'pytorch' (started by torchrun), got {launcher!r}")
        if launcher == "pytorch" or "RANK" in os.environ:
            init_from_environment()
        if default_scope is not None:
            init_default_scope(default_scope)
        self.device = choose_device(device)
        check_types(seed_everything, randomness, "randomness")
        self._seed_is_given = (randomness or {}).get("seed") is not None
        self.seed = self._seed(randomness or {})
        self.work_dir = Path(work_dir)
        self.logger = logger
        self.experiment_name = experiment_name or self.work_dir.name
        self.cfg = Config(dict(cfg or {}))
        self.model_config = portable_config(model, MODELS) if isinstance(model, Mapping) else None
        self.model: Any = self._build_model(model, data_preprocessor)
        self.parallel_model: Any = self.model
        self._optim_config = optim_wrapper
        self._schedule_config = param_scheduler
        self._load_from = load_from
        self._resume = resume
        settings, own_hooks = split_default_hooks(default_hooks or {})
        for name, entry in settings.items():
            check_types(_hook_settings, entry, f"default_hooks.{name}")
        if unread := hook_settings_not_read(settings):
            logger.info("settings of default_hooks that have no effect in Kinema: %s", ", ".join(unread))
        self.checkpoint_settings = CheckpointSettings(settings.get("checkpoint") or {})
        self.log_interval = int((settings.get("logger") or {}).get("interval", 20))
        self.hooks = build_hooks([*own_hooks, *(custom_hooks or [])])
        self.store = CheckpointStore(self.work_dir, self.checkpoint_settings.keep)
        self.metrics_file = MetricsFile(self.work_dir / "metrics.jsonl")
        self.epoch = 0
        self.iter = 0
        self.best: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []  # see kinema.runs.history
        self.train_figures: dict[str, float] = {}  # of the epoch that was trained last
        self.notes: dict[str, Any] = {}  # further entries of the summary
        self.train_seconds = 0.0
        self.interrupt = DeferredInterrupt()
        self.optim_wrapper: OptimWrapper
        self.schedules: list[Schedule] = []
        self.train_loop: Any = None
        self.val_loop: Any = None
        self.test_loop: Any = None
        # What was given until the call that needs it builds the loader.
        self.train_dataloader: Any = train_dataloader
        self.val_dataloader: Any = val_dataloader
        self.test_dataloader: Any = test_dataloader

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any]) -> "Runner":
        """A runner of a whole config; its keys are the arguments of `Runner`.

        Raises:
            ConfigError: a key is missing, or looks like a misspelling of one.
        """
        known, needless = set(_init_parameters(cls)), needless_keywords(cls)
        keywords = {key: cfg[key] for key in cfg if key in known or (key in needless and cfg[key])}
        if unread := keys_not_read(cfg, {*known, *needless}):
            logger.info("keys of the config that the run does not read: %s", ", ".join(unread))
        for key in ("model", "work_dir"):
            if key not in keywords:
                raise ConfigError(f"the config has no {key!r}: the runner needs it (it has {', '.join(cfg)})")
        return cls(**keywords, cfg=cfg)

    build_dataloader = staticmethod(build_dataloader)

    # ---- the three calls

    def train(self) -> nn.Module:
        """Train to the last epoch and return the model.

        Raises:
            ConfigError: the training parts are missing, or the data's classes are not the model's.
            StorageError: there is no room for a file of the run.
            KinemaError: see the data's and the checkpoints' errors.
        """
        try:
            return self._train()
        except (OSError, RuntimeError, SafetensorError) as error:
            if not lacks_room(error):
                raise
            raise StorageError(
                f"no room in {self.work_dir}: {' '.join(str(error).split())}; the checkpoints that are there are whole:"
                " make room, then resume"
            ) from error

    def _train(self) -> nn.Module:
        loader, loop_config, _ = self._configs["train"]
        if loader is None or self._optim_config is None:
            raise ConfigError("training needs train_dataloader, train_cfg and optim_wrapper")
        with hold(self.work_dir) as folder:
            aside = None if self._resume else folder.set_aside(self._load_from)
            log = log_to_file(self.work_dir / "train.log") if is_main_process() else None
            try:
                if aside is not None:
                    logger.info("the files of the earlier run are in %s now", aside)
                self._prepare_training(loader, dict(loop_config or {}))
                folder.begin()
                with self.interrupt:
                    self.call_hook("before_run")
                    self.train_loop.run()
                    self.call_hook("after_run")
                self._write_summary()
            finally:
                if log is not None:
                    stop_logging(log)
        return self.model

    def val(self) -> dict[str, Any]:
        """Validate the model as it is; returns the metrics."""
        if self.val_loop is None:
            self.val_loop = self._build_evaluation("val", ValLoop)
        return self._evaluate(self.val_loop)

    def test(self) -> dict[str, Any]:
        """Test the model as it is; returns the metrics."""
        if self.test_loop is None:
            self.test_loop = self._build_evaluation("test", TestLoop)
        return self._evaluate(self.test_loop)

    def _evaluate(self, loop: Any) -> dict[str, Any]:
        self._load_weights()
        self.call_hook("before_run")
        metrics: dict[str, Any] = loop.run()
        self.call_hook("after_run")
        return metrics

    # ---- building

    def _seed(self, randomness: Mapping[str, Any]) -> int:
        unknown = set(randomness) - {"seed", "deterministic", "diff_rank_seed"}
        if unknown:
            raise ConfigError(f"randomness has no {sorted(unknown)[0]!r}: it takes seed and deterministic")
        seed = randomness.get("seed")
        if seed is None:
            seed = draw_shared_seed()
        seed_everything(seed, deterministic=bool(randomness.get("deterministic")))
        return seed

    def _build_model(self, model: Any, preprocessor: Mapping[str, Any] | None) -> nn.Module:
        if isinstance(model, Mapping):
            defaults = {} if preprocessor is None else {"data_preprocessor": preprocessor}
            model = MODELS.build(model, default_args=defaults)
        return model.to(self.device)

    def _prepare_training(self, loader: Any, loop_config: dict[str, Any]) -> None:
        state = self._state_to_resume() if self._resume else None
        if state is not None and not self._seed_is_given:
            self.seed = state["seed"]
        loop_config.pop("by_epoch", None)
        loop_config.setdefault("type", EpochBasedTrainLoop)
        built = self.train_dataloader = self._build_loader(loader, "train")
        self._check_classes(built, "training")
        check_types(EpochBasedTrainLoop, loop_config, "train_cfg")
        with naming("train_cfg"):
            self.train_loop = LOOPS.build(loop_config, default_args={"runner": self, "dataloader": built})
        if self._configs["val"][0] is not None:
            # Between two epochs broken clips are told, not fatal: they must not end a run that is
            # well otherwise.
            self.val_loop = self._build_evaluation("val", ValLoop, allow_broken=True)
        if not any(isinstance(hook, BrokenVideosHook) for hook in self.hooks):
            self.register_hook(BrokenVideosHook())
        if hasattr(self.model, "init_weights") and not getattr(self.model, "is_init", False):
            with only_to_files():  # a line a parameter
                self.model.init_weights()
        check_optim_config(self._optim_config)
        with naming("optim_wrapper"):
            self.optim_wrapper = build_optim_wrapper(self.model, self._optim_config)
        check_schedule_config(self._schedule_config)
        with naming("param_scheduler"):
            self.schedules = build_schedules(self._schedule_config)
        if state is not None:
            self._go_on(state)
        else:
            self._load_weights()
        if get_world_size() > 1:
            self.parallel_model = ParallelModel(self.model)
        if isinstance(self.model, BaseRecognizer):  # whose `save_pretrained` writes it
            self.model.contract = self.contract()
        self._keep_config()
        logger.info("training on %s, seed %d, work folder %s", self.device, self.seed, self.work_dir)

    def _keep_config(self) -> None:
        """Write the resolved config into the work folder, as data and as Python.

        A config that holds objects is no Python, which is logged.
        """
        if not self.cfg or not is_main_process():
            return
        # A config that is run again starts again: to resume is asked of a run, not of a config.
        config = Config({**self.cfg, "resume": False})
        write_settings(self.work_dir, config)
        try:
            config.dump(self.work_dir / "config.py")
        except ConfigError as error:
            logger.warning("config.py is not written: %s", error)

    def _build_loader(self, loader: Any, split: str) -> DataLoader:
        where = f"{split}_dataloader"
        for kind in (DataLoader, ReproducibleLoader):
            check_types(kind, loader, where)
        with naming(where):
            return build_dataloader(loader, seed=self.seed)

    def _build_evaluation(self, split: str, default: type, *, allow_broken: bool = False) -> Any:
        loader, loop_config, evaluator = self._configs[split]
        if loader is None:
            raise ConfigError(
                f"there is nothing to evaluate: give {split}_dataloader, {split}_cfg and {split}_evaluator"
            )
        built = self._build_loader(loader, split)
        if isinstance(built, ReproducibleLoader):
            built = built.for_evaluation(allow_broken=allow_broken)
        setattr(self, f"{split}_dataloader", built)
        self._check_classes(built, split)
        if not isinstance(evaluator, Evaluator):
            evaluator = EVALUATOR.build(evaluator) if _names_evaluator(evaluator) else Evaluator(evaluator)
        config = {"type": default, **dict(loop_config or {})}
        return LOOPS.build(config, default_args={"runner": self, "dataloader": built, "evaluator": evaluator})

    def _check_classes(self, loader: DataLoader, split: str) -> None:
        """The head must have as many classes as the data."""
        classes = (getattr(loader.dataset, "metainfo", None) or {}).get("classes")
        of_head = getattr(self.model, "num_classes", None)
        if classes and of_head is not None and len(classes) != of_head:
            raise ConfigError(
                f"the {split} data has {len(classes)} classes, the model's head {of_head}: "
                f"set model.cls_head.num_classes={len(classes)}"
            )

    # ---- state

    def _load_weights(self) -> None:
        if self._load_from is not None:
            self.load_checkpoint(self._load_from)
            self._load_from = None

    def load_checkpoint(self, filename: str | os.PathLike, *, strict: bool = False) -> None:
        """Load weights into the model.

        Args:
            filename: a checkpoint's folder, or a file.
            strict: whether weights that are missing or left over are an error.

        Raises:
            CheckpointError: it cannot be read, or does not fit.
        """
        log_report(filename, load_checkpoint(self.model, filename, strict=strict))

    def _state_to_resume(self) -> dict[str, Any] | None:
        """The training state of the checkpoint to resume from; None when the work folder has none."""
        if self._load_from is not None:
            folder: Path | None = Path(self._load_from)
            state = read_training_state(Path(self._load_from))
        else:
            folder, state = self.store.find_to_resume()
        if folder is None:
            logger.warning("nothing to resume in %s: starting from the beginning", self.work_dir)
            if is_main_process():
                self.metrics_file.forget_after(-1)  # the lines of a run that was killed before its first checkpoint
            return None
        self._load_from = folder
        return state

    def _go_on(self, state: dict[str, Any]) -> None:
        """Take up the run where a checkpoint left it."""
        folder, self._load_from = self._load_from, None
        assert folder is not None  # _state_to_resume found it
        load_checkpoint(self.model, folder, strict=True)
        try:
            self.optim_wrapper.load_state_dict(state["optimizer"])
            restore_state(state["random"])
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError) as error:
            raise CheckpointError(
                f"{folder}: its training state does not fit this run ({type(error).__name__}: {error}): resume with the"
                " optimizer that it was saved with"
            ) from error
        self.epoch, self.iter = state["epoch"], state["step"]
        self.best, self.train_seconds = state["best"], state["train_seconds"]
        self.history = list(state.get("history", ()))
        self.call_hook("after_load_checkpoint", checkpoint=state)
        if is_main_process():
            self.metrics_file.forget_after(self.iter)
            self.store.restore_pointers(Path(folder), self.best)
        logger.info("resumed from %s: %d epochs, %d steps done", folder, self.epoch, self.iter)
        if self.epoch >= self.max_epochs:
            logger.warning("nothing left to train: max_epochs is %d; ask for more epochs to go on", self.max_epochs)

    def set_learning_rate(self, position: Position, max_epochs: int) -> None:
        """Set the rates that the schedules give for `position`."""
        factors = []
        for base in self.optim_wrapper.base_rates:
            factor = 1.0
            for schedule in self.schedules:
                factor *= schedule.factor(position, base, max_epochs)
            factors.append(factor)
        self.optim_wrapper.scale_lr(factors)

    def validate(self) -> dict[str, float]:
        """Validate after an epoch, log and write down the figures."""
        figures = scalars(self.val_loop.run())
        self.history.append({"epoch": self.epoch, "train": self.train_figures, "val": figures})
        if is_main_process():
            seconds = self.train_seconds + self.train_loop.stopwatch.seconds
            self.metrics_file.write(step=self.iter, epoch=self.epoch, split="val", figures=figures, seconds=seconds)
        logger.info("epoch %d  validation  %s", self.epoch, format_validation(figures))
        return figures

    def validations_without_gain(self) -> int:
        """How many validations ago the figures that choose the best checkpoint, or the loss, last improved."""
        if not self.history:
            return 0
        settings = self.checkpoint_settings
        name = settings.metric(self.history[-1]["val"])
        return validations_without_gain(self.history, name, settings.smooth, is_less=settings.is_less(name))

    def end_epoch(self, metrics: Mapping[str, float]) -> None:
        """Write the checkpoint of the epochs done so far."""
        is_best = self.checkpoint_settings.improves(metrics, self.best, self.history)
        name = f"epoch_{self.epoch:04d}"
        if is_best:
            key = self.checkpoint_settings.metric(metrics)
            self.best = {"metric": key, "value": float(metrics[key]), "epoch": self.epoch, "checkpoint": name}
            if self.checkpoint_settings.smooth > 1:
                self.best["smoothed"] = trailing_mean(self.history, key, self.checkpoint_settings.smooth)
        done = self.checkpoint_settings.is_due(self.epoch) or self.train_loop.is_done
        if not (done or is_best) or not is_main_process():
            return
        training = {
            "optimizer": self.optim_wrapper.state_dict(),
            "epoch": self.epoch,
            "step": self.iter,
            "best": self.best,
            "history": self.history,
            "train_seconds": self.train_seconds + self.train_loop.stopwatch.seconds,
            "seed": self.seed,
            "random": capture_state(),
        }
        self.call_hook("before_save_checkpoint", checkpoint=training)
        contract = replace(self.contract(), metrics=dict(metrics), best=dict(self.best))
        self.store.save(name, self.model, contract=contract, training=training, is_best=is_best)

    def contract(self) -> ModelContract:
        """The contract of the run's checkpoints: model, classes, and how a clip becomes the model's input.

        The input is what the evaluation's pipeline says, not what the model's card said when it was
        created; None, where that cannot be told.
        """
        known = getattr(self.model, "contract", None)
        if not isinstance(known, ModelContract):
            known = ModelContract()
        contract = replace(
            known,
            model=self.model_config or known.model,
            classes=tuple(self.classes) or known.classes,
            metrics=None,  # of the checkpoint that the model is from
            best=None,
        )
        loader = self._configs["val"][0] or self._configs["test"][0]
        evaluation = configs_of_pipeline(loader)
        if loader is not None or split_pipeline(configs_of_pipeline(self._configs["train"][0]) or ()) is not None:
            # A training without an evaluation uses another pipeline than any that was known before.
            contract = contract.with_pipeline(portable_config(evaluation or (), TRANSFORMS) or ())
        return contract

    @property
    def max_epochs(self) -> int:
        """Epochs of the training; 0 when there is none."""
        if self.train_loop is None:
            return int((self._configs["train"][1] or {}).get("max_epochs", 0))
        return int(self.train_loop.max_epochs)

    @property
    def max_iters(self) -> int:
        """Steps of the whole training; 0 before `train()` was called."""
        return 0 if self.train_loop is None else int(self.train_loop.max_iters)

    @property
    def classes(self) -> list[str]:
        """Class names of the training data, or of what is evaluated; empty when unknown."""
        loop = self.train_loop or self.val_loop or self.test_loop
        metainfo = getattr(loop.dataloader.dataset, "metainfo", None) or {}
        return list(metainfo.get("classes") or [])

    def _write_summary(self) -> None:
        if not is_main_process():
            return
        self.train_seconds += self.train_loop.stopwatch.seconds
        summary = {
            "experiment": self.experiment_name,
            "kinema_version": __version__,
            "epochs": self.epoch,
            "steps": self.iter,
            **summary_of(self.history, self.best),
            "stopped_early": self.train_loop.is_flat,
            "last": f"epoch_{self.epoch:04d}",
            "classes": self.classes,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "seed": self.seed,
            "device": str(self.device),
            "train_seconds": round(self.train_seconds, 3),
            **self.notes,
        }
        for sentence in summary["warnings"]:
            logger.warning("%s", sentence)
        write_text(self.work_dir / "summary.json", json.dumps(summary, indent=2) + "\n")

    def call_hook(self, point: str, **arguments: Any) -> None:
        """Call `point` of every hook."""
        for hook in self.hooks:
            getattr(hook, point)(self, **arguments)

    def register_hook(self, hook: Any, priority: str | int | None = None) -> None:
        """Add a hook, an object or its config; `priority` goes before the hook's own."""
        self.hooks = build_hooks([*self.hooks, *build_hooks([hook], priority)])


def _hook_settings(interval: int = 1, max_keep_ckpts: int = 3, by_epoch: bool = True, save_last: bool = True) -> None:
    """The types of the settings of `default_hooks`."""


def _init_parameters(cls: type) -> list[str]:
    return [name for name in inspect.signature(cls).parameters if name != "cfg"]


def _names_evaluator(config: Any) -> bool:
    """Is this the config of an evaluator, not of a metric or a list of them?"""
    kind = config.get("type") if isinstance(config, Mapping) else None
    if isinstance(kind, str):
        return kind in EVALUATOR
    return isinstance(kind, type) and issubclass(kind, Evaluator)


def _require_groups(configs: Mapping[str, tuple[Any, Any, Any]]) -> None:
    """Loader, loop settings and evaluator of a split must be given together."""
    for split, (loader, loop, evaluator) in configs.items():
        names = [f"{split}_dataloader", f"{split}_cfg"] + ([f"{split}_evaluator"] if split != "train" else [])
        values = [loader, loop] + ([evaluator] if split != "train" else [])
        missing = [name for name, value in zip(names, values, strict=True) if value is None]
        if 0 < len(missing) < len(names):
            raise ConfigError(f"{' and '.join(missing)} missing: {', '.join(names)} are given together or not at all")
