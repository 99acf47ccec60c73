"""From a config to a data loader."""

import signal
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import cv2
from torch.utils.data import DataLoader, IterableDataset

from kinema.datasets.collating import pseudo_collate
from kinema.datasets.loader import ReproducibleLoader, WatchedLoader
from kinema.datasets.samplers import DefaultSampler, draw_shared_seed
from kinema.datasets.wrappers import FirstSamples
from kinema.distributed import get_world_size
from kinema.errors import ConfigError
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS, check_arguments


def _start_worker(worker_id: int, then: Callable[[int], None] | None = None) -> None:
    """Worker processes use one thread each, and leave Ctrl-C to the main one.

    OpenCV's pool of threads would only compete with theirs.
    """
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if then is not None:
        then(worker_id)


@accepts_openmmlab_keywords
def build_dataloader(dataloader: DataLoader | Mapping[str, Any], seed: int | None = None) -> DataLoader:
    """Build a data loader from a config; a loader that is built already is returned as it is.

    Args:
        dataloader: `dict(batch_size=..., dataset=dict(type=...), sampler=dict(type="DefaultSampler",
            shuffle=True), num_workers=..., collate_fn=..., worker_init_fn=..., ...)`, where
            `collate_fn` is "pseudo_collate", "default_collate", a function or `dict(type=...)`; the
            rest are keywords of `ReproducibleLoader` (`allow_broken`, `max_broken_share`) and of
            torch's `DataLoader`; `num_batch_per_epoch=N` uses only the first samples, as many as N
            batches need. Without a sampler: shuffled unless the dataset is in test mode;
            without `collate_fn`: the dataset's own, where it has one, else `pseudo_collate`.
        seed: of the order and of the samples' random numbers; None draws one that all processes
            share.

    Raises:
        ConfigError: no such dataset, sampler or collate function, or no such keyword.
        TypeError: `dataloader` is neither config nor loader.
    """
    if isinstance(dataloader, DataLoader):
        return dataloader
    if not isinstance(dataloader, Mapping):
        raise TypeError(
            f"a data loader must be a dict or a DataLoader, got {type(dataloader).__name__}: {dataloader!r}"
        )
    keywords = dict(dataloader)
    seed = draw_shared_seed() if seed is None else seed
    dataset = keywords.pop("dataset", None)
    if isinstance(dataset, Mapping):
        dataset = DATASETS.build(dataset)
    if dataset is None or isinstance(dataset, str | int | float):
        given = "" if dataset is None else f", got {type(dataset).__name__}: {dataset!r}"
        raise TypeError(f"a data loader needs 'dataset': a dataset or dict(type=...){given}")
    if hasattr(dataset, "full_init"):
        dataset.full_init()  # in this process: the workers share the list
    collate = _build_function(keywords.pop("collate_fn", None)) or getattr(dataset, "collate_fn", pseudo_collate)
    if keywords.get("num_workers", 0) == 0:
        keywords.pop("persistent_workers", None)
        keywords.pop("prefetch_factor", None)
    keywords["worker_init_fn"] = partial(_start_worker, then=_build_function(keywords.pop("worker_init_fn", None)))
    if isinstance(dataset, IterableDataset):
        keywords.pop("sampler", None)
        check_arguments(DataLoader, {"dataset": dataset, **keywords}, "a data loader")
        return WatchedLoader(dataset, collate_fn=collate, **keywords)
    wanted = keywords.pop("num_batch_per_epoch", None)
    if wanted is not None:
        if not isinstance(wanted, int) or wanted < 1:
            raise ConfigError(f"num_batch_per_epoch must be a whole number of at least 1, got {wanted!r}")
        dataset = FirstSamples(dataset, wanted * keywords.get("batch_size", 1) * get_world_size())
    own: dict[str, Any] = {key: keywords.pop(key) for key in ("allow_broken", "max_broken_share") if key in keywords}
    check_arguments(DataLoader, {"dataset": dataset, **keywords}, "a data loader")
    keywords |= own
    sampler = _build_sampler(_no_text(keywords.pop("sampler", None), "sampler"), dataset, seed)
    batch_sampler = _no_text(keywords.pop("batch_sampler", None), "batch_sampler")
    if isinstance(batch_sampler, Mapping):
        batch_sampler = DATA_SAMPLERS.build(
            batch_sampler, default_args={"sampler": sampler, "batch_size": keywords.pop("batch_size")}
        )
    if batch_sampler is not None:
        return ReproducibleLoader(dataset, seed=seed, batch_sampler=batch_sampler, collate_fn=collate, **keywords)
    return ReproducibleLoader(dataset, seed=seed, sampler=sampler, collate_fn=collate, **keywords)


def _no_text(value: Any, name: str) -> Any:
    """A sampler; a text would be iterated letter by letter."""
    if isinstance(value, str | int | float):
        raise TypeError(f"{name} must be a dict with 'type', or give indices, got {type(value).__name__}: {value!r}")
    return value


def _build_sampler(sampler: Any, dataset: Any, seed: int) -> Any:
    if sampler is None:
        return DefaultSampler(dataset, shuffle=not getattr(dataset, "test_mode", False), seed=seed)
    if isinstance(sampler, Mapping):
        return DATA_SAMPLERS.build(sampler, default_args={"dataset": dataset, "seed": seed})
    return sampler


def _build_function(function: Any) -> Callable[..., Any] | None:
    """A function given as it is, by its name, or as `dict(type=..., keyword=value)`."""
    options: dict[str, Any] = {}
    if isinstance(function, Mapping):
        options = {key: value for key, value in function.items() if key != "type"}
        function = function["type"]
    if isinstance(function, str):
        registered = FUNCTIONS.get(function)
        if registered is None:
            raise FUNCTIONS.unknown(function)
        function = registered
    if not (function is None or callable(function)):
        raise TypeError(f"collate_fn, worker_init_fn: give a function, its name or dict(type=...), got {function!r}")
    return partial(function, **options) if options else function
