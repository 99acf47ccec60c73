"""From a plan to objects: model, loaders, metrics, and what a run's checkpoints say of the model."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from kinema.checkpoints.contract import ModelContract, portable_config
from kinema.config.checking import problems_of_loader
from kinema.config.values import check_types, naming
from kinema.datasets import ReproducibleLoader, build_dataloader
from kinema.distributed import get_world_size
from kinema.engine.plan import Phase, RunPlan, is_plain
from kinema.errors import ConfigError
from kinema.evaluation import Evaluator
from kinema.models.library_recognition import built_config
from kinema.optim.building import build_optim_wrapper, check_optim_config
from kinema.optim.parameter_groups import scaled_rate
from kinema.optim.precision import Precision
from kinema.optim.wrapper import OptimWrapper
from kinema.parallel.choosing import choose_strategy
from kinema.registry import EVALUATOR, LOOPS, MODELS, TRANSFORMS
from kinema.training.base_loop import BaseLoop
from kinema.training.loops import TrainLoop
from kinema.training.progress import Until
from kinema.training.run import Run
from kinema.training.step import TrainStep
from kinema.transforms import Compose
from kinema.transforms.contract import split_pipeline

logger = logging.getLogger("kinema")


def model_of(plan: RunPlan) -> Any:
    """The model of a plan, or its config, with the plan's preprocessor where it has none."""
    if plan.data_preprocessor is None or not isinstance(plan.model, Mapping):
        return plan.model
    return {"data_preprocessor": plan.data_preprocessor, **plan.model}


def build_loader(
    phase: Phase, split: str, model: Any, seed: int, build: Callable[..., DataLoader] = build_dataloader
) -> DataLoader:
    """The loader of a phase, whose classes must be the model's.

    Args:
        phase: of a plan.
        split: "train", "val" or "test".
        model: which the loader feeds.
        seed: of its random numbers.
        build: makes the loader of its config and the seed.

    Raises:
        ConfigError: a value of its config does not fit, or the classes do not.
    """
    where = f"{split}_dataloader"
    for problem in problems_of_loader(phase.loader, where):
        raise problem.error(problem.message)
    check_types(ReproducibleLoader, phase.loader, where)
    with naming(where):
        loader = build(phase.loader, seed=seed)
    classes = (getattr(loader.dataset, "metainfo", None) or {}).get("classes")
    of_head = getattr(model, "num_classes", None)
    if classes and of_head is not None and len(classes) != of_head:
        raise ConfigError(
            f"the {'training' if split == 'train' else split} data has {len(classes)} classes, the model's head"
            f" {of_head}: set model.cls_head.num_classes={len(classes)}"
        )
    return loader


def build_evaluator(config: Any) -> Evaluator:
    """An evaluator of its config, or of that of a metric or of several."""
    if isinstance(config, Evaluator):
        return config
    kind = config.get("type") if isinstance(config, Mapping) else None
    is_evaluator = (
        kind in EVALUATOR if isinstance(kind, str) else isinstance(kind, type) and issubclass(kind, Evaluator)
    )
    if is_evaluator:
        evaluator: Evaluator = EVALUATOR.build(config)
        return evaluator
    names_metrics = isinstance(config, Mapping) and kind is None and set(config) == {"metrics"}
    return Evaluator(config["metrics"] if names_metrics else config)


def build_step(
    plan: RunPlan, model: nn.Module, device: torch.device, build: Callable[[Any], Any] | None = None
) -> TrainStep:
    """The training step of a plan; the model is prepared for the processes that train it.

    Args:
        plan: its `optim_wrapper` may be built already.
        model: on its device.
        device: of the model.
        build: makes the optimizer wrapper of its config; default: `build_optim_wrapper`.

    Raises:
        ConfigError: a value does not fit, or there are several optimizers and nothing wraps their
            networks for several processes.
    """
    strategy = choose_strategy(world_size=get_world_size(), device=device, **plan.strategy)
    strategy.wrap(model)
    check_optim_config(plan.optim_wrapper)
    with naming("optim_wrapper"):
        precision = Precision(plan.precision, device)  # type: ignore[arg-type]
        optim_wrapper = (build or partial(build_optim_wrapper, model, precision=precision))(plan.optim_wrapper)
    if "" not in optim_wrapper.wrappers and strategy.name in ("ddp", "fsdp2"):
        raise ConfigError(
            f"optim_wrapper has several optimizers ({', '.join(optim_wrapper.wrappers)}): on several processes only the"
            " model's own train_step knows what exchanges gradients: use"
            " model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel'), or a wrapper of your own"
        )
    return TrainStep(model, optim_wrapper, strategy)


def scale_rates(
    optim_wrapper: OptimWrapper, loader: DataLoader, base_batch_size: int, *, counts_accumulation: bool = True
) -> None:
    """Scale the learning rates of all groups from `base_batch_size` to the samples of an update of this run.

    Args:
        optim_wrapper: of one optimizer or of several.
        loader: of the training.
        base_batch_size: samples of an update that the rates are for.
        counts_accumulation: False: of an update that accumulates several batches only one counts.

    Raises:
        ConfigError: the loader does not know its batch size.
    """
    if not loader.batch_size:
        raise ConfigError("auto_scale_lr needs train_dataloader.batch_size, which this loader does not have")
    for wrapper in optim_wrapper.wrappers.values():
        batches = wrapper.accumulative_counts if counts_accumulation else 1
        size = loader.batch_size * get_world_size() * batches
        for group in wrapper.param_groups:
            group["lr"] = scaled_rate(group["lr"], base_batch_size, size)
        factor = size / base_batch_size
        logger.info("auto_scale_lr: %d samples an update, not %d: rates x %.4g", size, base_batch_size, factor)


def build_train_loop(run: Any, loop: Mapping[str, Any], loader: DataLoader, until: Until | None) -> BaseLoop:
    """The training loop of a runner: Kinema's, or the user's own.

    Args:
        run: the runner; its `train_step` may be attached later.
        loop: settings of the loop, such as `dict(max_epochs=50)`.
        loader: batches.
        until: how far a loop of Kinema's trains.
    """
    settings = {key: value for key, value in loop.items() if key != "by_epoch"}
    if is_plain(loop):
        if until is not None and until.steps is not None:
            step = run.train_step
            return TrainLoop(loader, step, run.progress, until, run.call_hook, step.accumulate)
        settings["type"] = "EpochBasedTrainLoop" if settings.get("max_epochs") is not None else "IterBasedTrainLoop"
    with naming("train_cfg"):
        built: BaseLoop = LOOPS.build(settings, default_args={"runner": run, "dataloader": loader})
    return built


def build_evaluation_loop(
    run: Run,
    plan: RunPlan,
    split: str,
    default: type,
    *,
    settings: Mapping[str, Any] | None = None,
    allow_broken: bool = False,
    build: Callable[..., DataLoader] = build_dataloader,
) -> Any:
    """The loop of a plan's `split`, "val" or "test".

    Args:
        run: the run.
        plan: its plan.
        split: which evaluation.
        default: type of the loop where the config says none.
        settings: of the loop, in place of the plan's.
        allow_broken: see `ReproducibleLoader.for_evaluation`.
        build: see `build_loader`.

    Raises:
        ConfigError: the plan has none.
    """
    phase: Phase | None = getattr(plan, split)
    if phase is None:
        raise ConfigError(f"there is nothing to evaluate: give {split}_dataloader, {split}_cfg and {split}_evaluator")
    loader = build_loader(phase, split, run.network, run.seed, build)
    if isinstance(loader, ReproducibleLoader):
        loader = loader.for_evaluation(allow_broken=allow_broken)
    parts = {"runner": run, "dataloader": loader, "evaluator": build_evaluator(phase.evaluator)}
    return LOOPS.build({"type": default, **(phase.loop if settings is None else settings)}, default_args=parts)


def contract_of(
    plan: RunPlan, model: nn.Module, classes: Sequence[str], *, clip_seconds: float | None = None
) -> ModelContract:
    """The contract of a run's checkpoints: model, classes, and how a clip becomes the model's input.

    The input is what the evaluation's pipeline says, not what the model's card said when it was
    created; None, where that cannot be told.

    Args:
        plan: of the run.
        model: of the run.
        classes: names of the classes of its data.
        clip_seconds: how much of a clip of its data the model sees at a time; None: unknown.
    """
    known = getattr(model, "contract", None)
    if not isinstance(known, ModelContract):
        known = ModelContract()
    config = portable_config(built_config(plan.model, model), MODELS) if isinstance(plan.model, Mapping) else None
    contract = replace(
        known,
        model=config or known.model,
        classes=tuple(classes) or known.classes,
        metrics=None,  # of the checkpoint that the model is from
        best=None,
    )
    if plan.train is not None:  # what was measured on other weights does not hold any more
        contract = replace(contract, clip_seconds=clip_seconds, thresholds=None, temperature=None)
    phase = plan.val or plan.test
    evaluation = None if phase is None else configs_of_pipeline(phase.loader)
    training = None if plan.train is None else configs_of_pipeline(plan.train.loader)
    if phase is not None or split_pipeline(training or ()) is not None:
        # A training without an evaluation uses another pipeline than any that was known before.
        contract = contract.with_pipeline(portable_config(evaluation or (), TRANSFORMS) or ())
    return contract


def configs_of_pipeline(loader: Any) -> list[dict[str, Any]] | None:
    """Configs of the transforms that a loader's data set runs; None where they are objects, or there are none.

    Args:
        loader: a data loader, or its config; data sets around others are looked into.
    """
    dataset = loader
    while dataset is not None:
        get = dataset.get if isinstance(dataset, Mapping) else partial(getattr, dataset)
        pipeline = get("pipeline", None)
        if isinstance(pipeline, Compose):
            return pipeline.configs
        if isinstance(pipeline, Sequence) and pipeline:
            return [dict(step) for step in pipeline] if all(isinstance(step, Mapping) for step in pipeline) else None
        dataset = get("dataset", None)
    return None
