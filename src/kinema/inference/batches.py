"""Many videos through one model: read ahead by threads, several in a batch, results in order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch

from kinema.cores import default_readers
from kinema.errors import VideoError
from kinema.inference.finding import find_videos
from kinema.inference.inputs import VideoSource, name_of, require_videos, video_source
from kinema.inference.prediction import FailedInput, Prediction, make_prediction
from kinema.inference.scoring import Prepared, ScoringModel
from kinema.inference.views import parse_views

CLIPS_A_STEP = 8
VIEWS_A_STEP = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_batch_size(views: str | None) -> int:
    """Videos a batch: 8, fewer with several views, which need as much memory as so many videos."""
    if views is None:
        return CLIPS_A_STEP
    chosen = parse_views(views)
    return max(1, min(CLIPS_A_STEP, VIEWS_A_STEP // (chosen.clips * chosen.crops)))


@dataclass(frozen=True, eq=False)
class Read(Generic[Item, Result]):
    """What became of an input: a result, or the error that reading it raised."""

    item: Item
    result: Result | None
    error: VideoError | None = None


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Result], *, readers: int, ahead: int
) -> Generator[Read[Item, Result], None, None]:
    """Call `read` on items in threads, and give the results in the order of the items.

    Leaving the loop early waits for the calls that run, and drops those that do not yet.

    Args:
        items: taken one by one, no more than `ahead` before their results are asked for.
        read: called with an item.
        readers: number of threads.
        ahead: items that are read or waiting at once.

    Raises:
        Exception: what `read` raises that is no `VideoError`, in its place in the order.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()

    def oldest() -> Read[Item, Result]:
        item, future = waiting.popleft()
        try:
            return Read(item, future.result())
        except VideoError as error:
            return Read(item, None, error)

    with ThreadPoolExecutor(readers, thread_name_prefix="kinema-reader") as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(read, item)))
                if len(waiting) >= ahead:
                    yield oldest()
            while waiting:
                yield oldest()
        finally:
            for _, future in waiting:
                future.cancel()


def in_batches(
    reads: Generator[Read[Item, Result], None, None], shape_of: Callable[[Result], Any], size: int
) -> Generator[list[Read[Item, Result]], None, None]:
    """Neighbours that a model can take together: at most `size` of one shape, and failures between them.

    Args:
        reads: results and failures, in order.
        shape_of: what must be the same in a batch; None: the result goes alone.
        size: results of a batch, at most.
    """
    batch: list[Read[Item, Result]] = []
    count, shape = 0, None
    with closing(reads):  # its threads end with this generator
        for read in reads:
            if read.result is not None:
                own = shape_of(read.result)
                if count and (count == size or own is None or own != shape):
                    yield batch
                    batch, count = [], 0
                count, shape = count + 1, own
            batch.append(read)
    if batch:
        yield batch


def shape_of_inputs(packed: Any) -> Any:
    """Shape and type of the inputs of a packed sample; None: they are no single tensor."""
    inputs = packed.get("inputs") if isinstance(packed, dict) else None
    return (tuple(inputs.shape), inputs.dtype) if isinstance(inputs, torch.Tensor) else None


# ---- predictions


@dataclass(frozen=True)
class BatchOptions:
    """How to predict many videos; see `VideoRecognizer.predict_many`.

    Raises:
        ValueError: a number or text is none of those that it allows.
    """

    top_k: int
    on_error: str
    batch_size: int | None
    readers: int | None
    views: str | None
    tta: str | None
    fps: float | None
    thresholds: float | Mapping[str, float] | None

    def __post_init__(self) -> None:
        for name in ("top_k", "batch_size", "readers"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        if self.on_error not in ("raise", "report"):
            raise ValueError(f"on_error must be 'raise' or 'report', got {self.on_error!r}")


_Source = tuple[str, VideoSource | Exception]  # name of a video, and how it begins or what is wrong with it


def predict_videos(
    recognizer: ScoringModel, videos: Iterable[Any] | str | os.PathLike[str], options: BatchOptions
) -> Iterator[Prediction | FailedInput]:
    """What `VideoRecognizer.predict_many` does; what is wrong with the options is raised at the call."""
    size = default_batch_size(options.views) if options.batch_size is None else options.batch_size
    readers = options.readers or default_readers()
    limits = _limits(recognizer, options.thresholds)
    recognizer.pipeline_of(options.views, options.tta)
    if isinstance(videos, str | os.PathLike):
        videos = find_videos([os.fspath(videos)])
    elif isinstance(videos, list | tuple):
        require_videos(videos)

    def read(named: _Source) -> Prepared:
        if isinstance(named[1], Exception):
            raise named[1]
        return recognizer.prepare(named[1], views=options.views, tta=options.tta, fps=options.fps)

    def results() -> Iterator[Prediction | FailedInput]:
        sources = (_source_of(video, options.fps) for video in videos)
        reads = read_ahead(sources, read, readers=readers, ahead=size + readers)
        with closing(in_batches(reads, lambda prepared: shape_of_inputs(prepared.packed), size)) as batches:
            for batch in batches:
                yield from _predictions(recognizer, batch, options, limits)

    return results()


def _source_of(video: Any, fps: float | None) -> _Source:
    """Name and beginning of a video. File objects are read here, in order, and not by several threads."""
    try:
        return name_of(video), video_source(video, fps)
    except (VideoError, TypeError, ValueError, OSError) as error:
        return name_of(video), error


def _predictions(
    recognizer: ScoringModel,
    batch: list[Read[_Source, Prepared]],
    options: BatchOptions,
    limits: float | Mapping[str, float] | None,
) -> Iterator[Prediction | FailedInput]:
    prepared = [read.result for read in batch if read.result is not None]
    rows: Iterator[torch.Tensor] = iter(())
    if prepared:
        samples, names = [clip.packed for clip in prepared], [clip.name for clip in prepared]
        rows = iter(recognizer.scores_of_samples(samples, names, views=options.views))
    for read in batch:
        if read.result is not None:
            yield make_prediction(
                read.result.name,
                next(rows).numpy(),
                recognizer.classes,
                top_k=options.top_k,
                looked=read.result.watcher.looked(),
                thresholds=limits,
            )
        elif options.on_error == "report":
            yield FailedInput(read.item[0], str(read.error))
        else:
            assert read.error is not None
            raise read.error


def _limits(
    recognizer: ScoringModel, thresholds: float | Mapping[str, float] | None
) -> float | Mapping[str, float] | None:
    """Thresholds for `make_prediction`; None for a model of one label a clip."""
    if thresholds is None:
        return recognizer.thresholds if recognizer.is_multi_label else None
    if not recognizer.is_multi_label:
        raise ValueError(
            f"{recognizer.name}: is a model of one label a clip, of which the likeliest class is named: thresholds are"
            " for models of several"
        )
    if not isinstance(thresholds, Mapping):
        return thresholds
    unknown = [name for name in thresholds if recognizer.classes and name not in recognizer.classes]
    if unknown:
        shown = ", ".join(recognizer.classes[:10]) + (", ..." if len(recognizer.classes) > 10 else "")
        raise ValueError(f"there is no class {unknown[0]!r} to have a threshold; there are: {shown}")
    return {**recognizer.thresholds, **thresholds}
