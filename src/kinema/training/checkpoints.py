"""The state of a whole run: taken at a border, put back when it is resumed."""

import copy
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kinema.checkpoints.reading import read_checkpoint
from kinema.checkpoints.store import FORMAT, read_training_state
from kinema.distributed import broadcast_object, get_rank, get_world_size, is_main_process
from kinema.errors import CheckpointError
from kinema.optim.wrapper_dict import by_optimizer, share_of
from kinema.parallel.shards import spread
from kinema.printable import first_line
from kinema.randomness import gather_states, restore_rank_state
from kinema.training.pending import pending_state, restore_pending
from kinema.training.run import Run
from kinema.training.state_kinds import check_figures, check_like, check_parts

logger = logging.getLogger("kinema")


def snapshot(run: Run) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights to evaluate with, and everything else that a resumed training needs.

    All processes call it; the first one gets the state. The tensors are those of the run, not
    copies.

    Args:
        run: at a border: no batch waits for its update.

    Returns:
        The weights: the averages, where the run has them. And the state: `parts` by name (see
        `Run.parts`), `optimizer` by parameter names, `random` of every process, `raw`, the weights
        themselves where the others are averages; `pending`, see `kinema.training.pending`. The
        optimizers of several are a dict by name.
    """
    assert run.train_step is not None
    strategy, ema = run.train_step.strategy, run.train_step.ema
    if ema is not None and ema.is_applied:  # a hook saves during a validation
        with ema.applied(on=False):
            return copy.deepcopy(snapshot(run))
    raw: dict[str, Tensor] = strategy.model_state()
    state: dict[str, Any] = {
        "format": FORMAT,
        "seed": run.seed,
        "optimizer": by_optimizer(run.optim_wrapper, lambda wrapper: strategy.optimizer_state(wrapper.optimizer)),
        "pending": pending_state(run.train_step),
        "parts": {name: part.state_dict() for name, part in run.parts().items()},
        "history": list(run.history),
        "train_figures": dict(run.train_figures),
        "random": gather_states(run.device),
    }
    if ema is None:
        return raw, state
    averages = strategy.full(ema.averages)
    state["raw"] = {name: raw[name] for name in averages} if is_main_process() else {}
    state["ema_updates"] = ema.updates
    return {**raw, **averages}, state


def resume(run: Run) -> bool:
    """Take up a run at the newest whole checkpoint of its work folder; False where there is none.

    Raises:
        CheckpointError: there are checkpoints, but none is whole, or it does not fit the run.
    """
    folder, state = find_to_resume(run)
    if folder is not None:
        restore(run, folder, state)
    return folder is not None


def restore(run: Run, folder: Path, state: Mapping[str, Any]) -> None:
    """Take up a run where a checkpoint left it. All processes call it.

    Args:
        run: built like the one that was saved.
        folder: the checkpoint.
        state: its training state, as `snapshot` gave it, perhaps with its weights as `state_dict`.

    Raises:
        CheckpointError: weights or state do not fit the run.
    """
    assert run.train_step is not None
    strategy, ema = run.train_step.strategy, run.train_step.ema
    weights = state["state_dict"] if "state_dict" in state else _weights_of(folder)
    try:
        strategy.load_model_state({**weights, **state.get("raw", {})})
        saved = state.get("optimizer", {})
        for name, wrapper in run.optim_wrapper.wrappers.items():
            strategy.load_optimizer_state(wrapper.optimizer, share_of(saved, name) if saved else {})
        restore_pending(run.train_step, state.get("pending", {}))
        if ema is not None:
            own = {name: weights[name] for name in ema.averages} if is_main_process() else {}
            averages = spread(own, ema.averages.get, run.device)
            updates = state.get("ema_updates", 0)
            check_like(updates, 0, "ema_updates")
            ema.load_state_dict({"updates": updates, "averages": averages})
        parts = run.parts()
        check_parts(parts, state["parts"])
        check_figures(state["history"], state["train_figures"])
        for name, part_state in state["parts"].items():
            if name in parts:
                parts[name].load_state_dict(part_state)
            elif part_state:
                logger.warning("%s: the state of %s is left out: this run has no such part", folder, name)
        run.history = [dict(entry) for entry in state["history"]]
        run.train_figures = dict(state["train_figures"])
        _say_other_processes(len(state["random"]), run.model)
        restore_rank_state(state["random"], get_rank(), seed=run.seed, step=run.progress.iteration, device=run.device)
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        OverflowError,
        RuntimeError,
        CheckpointError,
    ) as error:
        kind = "" if isinstance(error, CheckpointError) else f"{type(error).__name__}: "
        raise CheckpointError(
            f"{folder}: its training state does not fit this run ({kind}{first_line(error)}): resume with the model and"
            " the optimizer that it was saved with"
        ) from error


def _weights_of(folder: Path) -> Mapping[str, Tensor]:
    """The weights of a checkpoint, which the first process sends to the others."""
    return read_checkpoint(folder).state if is_main_process() else {}


def find_to_resume(run: Run, named: str | os.PathLike | None = None) -> tuple[Path | None, dict[str, Any]]:
    """The checkpoint to resume, and its training state; None when the work folder has none.

    All processes call it. The first one reads and checks the files; the others get all of the state
    but tensors of weights and optimizer, which `restore` sends them.

    Args:
        run: whose work folder to look into.
        named: the checkpoint's folder; None: the newest that is whole.

    Raises:
        CheckpointError: there are checkpoints, but none is whole, or the named one is not.
    """
    folder: Path | None = None
    state: dict[str, Any] = {}
    problem: str | None = None
    if is_main_process():
        try:
            folder, state = _find(run, named)
        except CheckpointError as error:
            problem = str(error)
    problem = broadcast_object(problem)
    if problem is not None:
        raise CheckpointError(problem)
    light = {key: value for key, value in state.items() if key not in ("optimizer", "raw", "pending")}
    folder, light = broadcast_object((folder, light))
    if folder is None:
        logger.warning("nothing to resume in %s: starting from the beginning", run.work_dir)
        run.metrics_file.load_state_dict({"lines": 0})  # of a run that was killed before its first checkpoint
    return folder, state if is_main_process() else light


def _find(run: Run, named: str | os.PathLike | None) -> tuple[Path | None, dict[str, Any]]:
    return run.store.find_to_resume() if named is None else (Path(named), read_training_state(Path(named)))


def take_up(run: Run, folder: Path, state: dict[str, Any]) -> None:
    """`restore`, and everything around it. All processes call it."""
    checkpoint = {"meta": {}, **state, "state_dict": _weights_of(folder)}
    run.call_hook("after_load_checkpoint", checkpoint=checkpoint)  # which may change what is loaded
    restore(run, folder, checkpoint)
    progress = run.progress
    if is_main_process():
        run.store.restore_pointers(folder, progress.best)
    logger.info("resumed from %s: %d epochs, %d steps done", folder, progress.epoch, progress.step)
    until = run.train_loop.until
    if until.reached(progress):
        (limit,) = (f"max_{name} is {value}" for name, value in vars(until).items() if value is not None)
        logger.warning("nothing left to train: %s; ask for more to continue", limit)


def _say_other_processes(before: int, model: nn.Module) -> None:
    if get_world_size() == before or not is_main_process():
        return
    has_norms = any(isinstance(module, _BatchNorm) and module.training for module in model.modules())
    norms = ", and batch norms see other shares of a batch unless sync_bn=True joins them" if has_norms else ""
    logger.warning(
        "the checkpoint was saved by %d processes, now there are %d: the samples and their order stay the same, random"
        " numbers of the network (dropout) do not%s",
        *(before, get_world_size(), norms),
    )
