"""The runner: from a config to a training or an evaluation, with MMEngine's names.

The files of a work folder are listed in `kinema.runs.work_folder`.
"""

import inspect
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError
from torch import nn
from torch.utils.data import DataLoader

from kinema.config import Config
from kinema.config.checking import check_parts
from kinema.config.values import naming
from kinema.distributed import choose_device, is_main_process
from kinema.engine.assembly import build_step, model_of
from kinema.engine.plan import DEFAULT_TYPES, SECTIONS, plan_of
from kinema.engine.state import RunnerState
from kinema.engine.written import evaluation_log, keep_config, summary_written
from kinema.errors import ConfigError, StorageError
from kinema.files import lacks_room
from kinema.hooks.averaging import EMAHook
from kinema.logs import log_to_file, show_on_console, stop_logging
from kinema.models.compiling import compile_errors_explained, compile_model
from kinema.models.recognition import BaseRecognizer
from kinema.openmmlab.configs import keys_not_read
from kinema.optim.schedules import check_schedule_config
from kinema.registry import RUNNERS, init_default_scope
from kinema.runs.work_folder import hold
from kinema.training.checkpoints import find_to_resume, take_up
from kinema.training.openmmlab_files import resume_pth

logger = logging.getLogger("kinema")


@RUNNERS.register_module(name=["Runner", "FlexibleRunner"])  # OpenMMLab has another one for strategies
class Runner(RunnerState):
    """Train, validate and test a model. Every part is an object or its config.

    Args:
        model: a `BaseModel`, or its config.
        work_dir: folder for the files of the run.
        train_dataloader, val_dataloader, test_dataloader: loaders, or configs for
            `build_dataloader`.
        train_cfg: `dict(max_epochs=...)`, or `max_iters` (batches), or `max_steps` (updates of the
            weights); with `val_begin=1, val_interval=1, dynamic_intervals=None, patience=None`.
        val_cfg, test_cfg: `dict()`; given or left out together with the loader and the evaluator.
        auto_scale_lr: `dict(enable=True, base_batch_size=N)`: learning rates are for updates of N
            samples, and scaled to those of this run (batch size x processes x accumulation).
        optim_wrapper: config for `build_optim_wrapper`, a wrapper, or an optimizer.
        param_scheduler: schedules of learning rate and momentum, a config or a list.
        val_evaluator, test_evaluator: metrics, a config or a list of them, or an `Evaluator`.
        default_hooks: changes of the hooks that every run has, by name: `param_scheduler`,
            `logger`, `checkpoint`, `stop`, `broken`, such as `dict(checkpoint=dict(interval=
            "500steps", save_best="acc/top1"), logger=dict(interval=20))`; None removes one,
            another `type` replaces it, another name adds one.
        custom_hooks: further hooks, configs or objects.
        data_preprocessor: config, for a model config that has none.
        load_from: checkpoint whose weights to start from; with `resume` the one to resume.
        resume: continue from `load_from`, or from the last checkpoint in the work folder.
        launcher: "none", or what started the processes: "pytorch" (torchrun), "slurm", "mpi".
        env_cfg: `dict(cudnn_benchmark=True)` lets cuDNN try its algorithms for the sizes it meets.
        log_processor: makes the lines of the log in OpenMMLab's form, see
            `kinema.engine.log_processor`; None: they are Kinema's.
        log_level: least level of records to show.
        visualizer: OpenMMLab's form of `trackers`: `dict(vis_backends=[dict(type=...), ...])`.
        default_scope: registry scope in which names are looked up first.
        randomness: `dict(seed=..., deterministic=False)`; without a seed one is drawn and logged.
        experiment_name: a name for `summary.json`.
        cfg: the resolved config that the work folder keeps.
        device: "auto", "cpu", "cuda", ...
        precision: "fp32", "bf16", "fp16" or "auto", see `kinema.optim.precision`.
        compile: True, or keywords of `torch.compile`, see `kinema.models.compiling`.
        strategy: "auto", "single", "ddp" or "fsdp2", or `dict(type=..., ...)` with options, see
            `kinema.parallel.strategies`; `sync_bn`, `find_unused_parameters` and `model_wrapper_cfg`
            are OpenMMLab's words for these.
        trackers: where the figures go beside `metrics.jsonl`, such as
            `["tensorboard", dict(type="wandb", mode="offline")]`, see `kinema.runs.trackers`.

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
        auto_scale_lr: Mapping[str, Any] | None = None,
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
        env_cfg: Mapping[str, Any] | None = None,
        log_processor: Any = None,
        log_level: int | str = "INFO",
        visualizer: Mapping[str, Any] | None = None,
        default_scope: str | None = None,
        randomness: Mapping[str, Any] | None = None,
        experiment_name: str | None = None,
        cfg: Mapping[str, Any] | None = None,
        *,
        device: str = "auto",
        precision: str = "fp32",
        compile: bool | Mapping[str, Any] = False,
        strategy: str | Mapping[str, Any] = "auto",
        sync_bn: str | bool | None = None,
        find_unused_parameters: bool = False,
        model_wrapper_cfg: Mapping[str, Any] | None = None,
        trackers: Any = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        plan = self.plan = plan_of(given)
        show_on_console(log_level)
        self.setup_env(env_cfg or {})
        if default_scope is not None:
            init_default_scope(default_scope)
        chosen = choose_device(plan.device)
        self.set_randomness(plan.seed, deterministic=plan.deterministic)
        self.device = chosen
        built = self.wrap_model(None, self.build_model(model_of(plan)))
        super().__init__(built, plan.work_dir, seed=self.seed, name=self.experiment_name)
        self.device = chosen
        if plan.compiled:
            compile_model(self.network, plan.compiled)
        self.cfg = Config(cfg or {})
        self._config_file = Path(cfg.filename) if isinstance(cfg, Config) and cfg.filename else None
        self.cfg_name = self._config_file.name if self._config_file else ""
        self.logger = self.build_logger(log_level)
        self._visualizer_settings = visualizer
        self.visualizer  # noqa: B018 - built before the hooks, which may ask for the current one
        self._add_hooks(plan.hooks)
        self._load_from, self._has_loaded = plan.load_from, False
        # What was given, until the call that needs it builds the part.
        self._train_dataloader: Any = train_dataloader
        self._val_dataloader: Any = val_dataloader
        self._test_dataloader: Any = test_dataloader
        self._optim_wrapper: Any = plan.optim_wrapper
        self._param_schedulers: Any = plan.param_scheduler
        if plan.log_processor is not None:
            self.line_processor = self.build_log_processor(plan.log_processor)

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any]) -> Self:
        """A runner of a whole config; its keys are the arguments of `Runner`.

        Raises:
            ConfigError: a key is missing, or looks like a misspelling of one.
        """
        parameters = dict(inspect.signature(cls).parameters)
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            parameters |= inspect.signature(Runner).parameters  # of a subclass that hands them on
        known = {name for name in parameters if name not in ("args", "kwargs", "cfg")}
        keywords = {key: cfg[key] for key in cfg if key in known}
        if unread := keys_not_read(cfg, known):
            logger.info("keys of the config that the run does not read: %s", ", ".join(unread))
        for key in ("model", "work_dir"):
            if key not in keywords:
                raise ConfigError(f"the config has no {key!r}: the runner needs it (it has {', '.join(cfg)})")
        if cfg.get("default_scope"):
            init_default_scope(cfg["default_scope"])
        check_parts(cfg, DEFAULT_TYPES, SECTIONS, loaders=("train_dataloader", "val_dataloader"))
        return cls(**keywords, cfg=cfg)

    # ---- the three calls

    def train(self) -> nn.Module:
        """Train to the end and return the model.

        Raises:
            ConfigError: the training parts are missing, or the data's classes are not the model's.
            StorageError: there is no room for a file of the run.
            KeyboardInterrupt: a signal asked to stop; everything is saved. Its argument is the
                signal's number.
            KinemaError: see the data's and the checkpoints' errors.
        """
        try:
            with compile_errors_explained():
                return self._train()
        except (OSError, RuntimeError, SafetensorError) as error:
            if not lacks_room(error):
                raise
            raise StorageError(
                f"no room in {self.work_dir}: {' '.join(str(error).split())}; the checkpoints that are there are whole:"
                " make room, then resume"
            ) from error

    def _train(self) -> nn.Module:
        self._check_training()
        with hold(self.work_dir) as folder:
            is_resumed = self.plan.resume or (self._has_loaded and self.progress.iteration > 0)
            aside = None if is_resumed else folder.set_aside(self._load_from)
            folder.check()
            log = log_to_file(self.work_dir / "train.log") if is_main_process() else None
            try:
                if aside is not None:
                    logger.info("the files of the earlier run are in %s now", aside)
                self._prepare_training()
                self.call_hook("before_run")
                self._take_up()
                self.optim_wrapper.initialize_count_status(self.network, self.progress.iteration, self.max_iters or -1)
                keep_config(self, self.cfg, self.plan.experiment_name, self.classes, self._config_file)
                logger.info("training on %s, seed %d, work folder %s", self.device, self.seed, self.work_dir)
                with self.interrupt, summary_written(self, self.plan.experiment_name, self.classes):
                    folder.begin()
                    self.train_loop.run()
                    self.call_hook("after_run")
                if self.stop_reason is not None:
                    logger.info("stopped at step %d: %s", self.progress.step, self.stop_reason)
                self.interrupt.check()
            finally:
                self.closing.close()
                self.call_hook("close")
                if log is not None:
                    stop_logging(log)
        model: nn.Module = self.network
        return model

    def val(self) -> dict[str, Any]:
        """Validate the model as it is; returns the metrics."""
        return self._evaluate(self.val_loop)

    def test(self) -> dict[str, Any]:
        """Test the model as it is; returns the metrics."""
        return self._evaluate(self.test_loop)

    def _evaluate(self, loop: Any) -> dict[str, Any]:
        with evaluation_log(self, self.timestamp):
            self._load_weights()
            self.call_hook("before_run")
            with compile_errors_explained():
                metrics: dict[str, Any] = loop.run()
            self.call_hook("after_run")
        return metrics

    # ---- building

    def _prepare_training(self) -> None:
        """Build what trains, and find what `_take_up` resumes; once."""
        if self.train_step is not None:
            return
        plan = replace(self.plan, optim_wrapper=self._optim_wrapper)
        assert plan.train is not None  # there is a training
        is_resuming = plan.resume and not self._has_loaded
        file = self._pth_to_resume() if is_resuming else None
        folder, state = find_to_resume(self, self._load_from) if is_resuming and file is None else (None, {})
        if plan.resume:
            self._load_from = None
        if folder is not None and plan.seed is None:
            self.seed = state["seed"]
        self.train_dataloader  # noqa: B018 - built first
        if plan.val is not None and "val" not in self.loops:
            # Between two epochs broken clips are reported, not fatal: they must not end a run that
            # is well otherwise.
            self._tolerates_broken = True
            self.val_loop = self.build_val_loop(self._val_loop)
        if folder is None and file is None and not self._has_loaded:
            self._init_model_weights()
            self._load_weights()
        self.call_hook("before_optimizer")
        self.train_step = build_step(plan, self.network, self.device, self.build_optim_wrapper)
        self.scale_lr(self.train_step.optim_wrapper)
        check_schedule_config(self._param_schedulers)
        if "train" not in self.loops:
            self.train_loop = self.build_train_loop(self._train_loop)
        elif hasattr(self.train_loop, "attach"):
            self.train_loop.attach(self.train_step)
        with naming("param_scheduler"):
            self.schedules = self.build_param_scheduler(self._param_schedulers)
        averaging = [hook for hook in self.hooks if isinstance(hook, EMAHook)]
        if averaging:
            self.train_step.ema = averaging[0].build(self)
        if folder is not None:
            self._taking_up = partial(take_up, self, folder, state)
        elif file is not None:
            self._taking_up = partial(resume_pth, self, file)
        if isinstance(self.network, BaseRecognizer):  # whose `save_pretrained` writes it
            self.network.contract = self.contract()
