"""The one loop that runs a model over a loader and evaluates what it predicts."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from kinema.datasets.broken import BrokenSample
from kinema.datasets.loader import ReproducibleLoader
from kinema.distributed import gather_objects
from kinema.evaluation.evaluator import Evaluator


@torch.no_grad()
def evaluate_loader(
    step: Callable[[Any], Sequence[Any]],
    loader: DataLoader,
    evaluator: Evaluator,
    *,
    before_step: Callable[[int, Any], None] | None = None,
    after_step: Callable[[int, Any, Sequence[Any]], None] | None = None,
    run_iter: Callable[[int, Any], None] | None = None,
    check_broken: Callable[[Sequence[BrokenSample]], None] | None = None,
    shown: Callable[[DataLoader], Iterable[Any]] = iter,
) -> tuple[dict[str, Any], list[BrokenSample]]:
    """Run a model over a loader and evaluate what it predicts; every evaluation sees the same samples.

    Args:
        step: from a batch to its samples with predictions, such as `model.test_step`.
        loader: batches; a `ReproducibleLoader` may leave broken samples out, which are then in no
            number.
        evaluator: the metrics.
        before_step: called with the number of each batch and the batch.
        after_step: called with these and the samples.
        run_iter: does all of these for a batch, called with its number and the batch.
        check_broken: called with the samples that were left out, before the numbers are computed;
            may raise.
        shown: iterates over the loader, such as `track_iter_progress`.

    Returns:
        The numbers, and the samples that were left out in all processes, in order of their index.
    """
    if isinstance(loader, ReproducibleLoader):
        loader.set_epoch(0)
    for number, batch in enumerate(shown(loader)):
        if run_iter is not None:
            run_iter(number, batch)
            continue
        if before_step is not None:
            before_step(number, batch)
        samples = step(batch)
        evaluator.process(samples, batch)
        if after_step is not None:
            after_step(number, batch, samples)
    size = len(loader.dataset)  # type: ignore[arg-type]
    if not isinstance(loader, ReproducibleLoader) or loader.when_broken != "leave out":
        return evaluator.evaluate(size), []
    by_index = {record.index: record for records in gather_objects(loader.broken) for record in records}
    broken = [by_index[index] for index in sorted(by_index)]
    if check_broken is not None:
        check_broken(broken)
    return evaluator.evaluate(size, [record.place for record in loader.broken]), broken
