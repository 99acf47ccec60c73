"""What is said, and written down, of an update that is not finite."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kinema.datasets.broken import BrokenSample, path_of
from kinema.diagnosis.nested import leaves_of
from kinema.structures import BaseDataElement

FILE_NAME = "nonfinite.jsonl"
SHOWN = 16  # samples in the one line; the file has all
CURE = (
    "lower the learning rate, clip gradients (optim_wrapper.clip_grad), look at these clips, or leave such updates out"
    " (default_hooks.nonfinite.policy='skip')"
)


@dataclass(frozen=True)
class Sample:
    """A sample of a batch: its index in the dataset (None: unknown) and its file, or what is known of it."""

    index: int | None
    path: str

    def __str__(self) -> str:
        if self.index is None:
            return self.path
        return str(self.index) if self.path == f"sample {self.index}" else f"{self.index} ({self.path})"


def samples_of(dataset: Any, indices: Iterable[int], broken: Sequence[BrokenSample] = ()) -> list[Sample]:
    """The samples of a batch by name.

    Args:
        dataset: whose they are.
        indices: that the sampler gave.
        broken: samples that could not be read; what took their place is named.
    """
    instead = {record.index: record.replaced_by for record in broken if record.replaced_by is not None}
    places = [instead.get(int(index), int(index)) for index in indices]
    return [Sample(place, path_of(dataset, place)) for place in places]


_NAMES = ("filename", "frame_dir", "img_path", "video_id", "sample_idx")


def samples_in(batch: Any) -> list[Sample]:
    """What the data samples in a batch say of themselves, for loaders that do not know their indices."""
    named = [
        next((str(element.metainfo[key]) for key in _NAMES if key in element.metainfo), None)
        for element in leaves_of(batch, BaseDataElement)
    ]
    return [Sample(None, name) for name in named if name is not None]


@dataclass(frozen=True)
class Batch:
    """A batch: epoch and number, from 1, and its samples; empty where they are not known."""

    epoch: int
    batch: int
    samples: Sequence[Sample] = ()

    def line(self) -> str:
        """In words, with some samples."""
        shown = ", ".join(map(str, self.samples[:SHOWN]))
        more = f" and {len(self.samples) - SHOWN} more" if len(self.samples) > SHOWN else ""
        samples = f", samples {shown}{more}" if shown else ""
        return f"batch {self.batch} of epoch {self.epoch}{samples}"


@dataclass(frozen=True)
class Report:
    """What one process knows of an update that is not finite.

    Attributes:
        rank: of the process.
        batches: of the update.
        bad: place among `batches` of the first whose loss is not finite; -1: all losses are.
        loss: that loss, where it is known.
        module: the first module whose output is not finite, in words.
        gradients: parameters whose gradients are not finite, by name.
    """

    rank: int
    batches: Sequence[Batch]
    bad: int = -1
    loss: float | None = None
    module: str = ""
    gradients: Sequence[str] = ()


def describe(reports: Sequence[Report], step: int) -> str:
    """One line about an update, from the reports of all processes."""
    of_process = (lambda report: f" on process {report.rank}") if len(reports) > 1 else (lambda report: "")
    losses = [report for report in reports if report.bad >= 0]
    if losses:
        report = losses[0]
        value = "" if report.loss is None else f" ({report.loss:g})"
        text = f"step {step}: the loss is not finite{value}{of_process(report)}: {report.batches[report.bad].line()}"
        others = sorted({report.rank for report in losses[1:]})
        text += f", and on {len(others)} other processes" if others else ""
        return f"{text}; {report.module}"
    report = next((report for report in reports if report.gradients), reports[0])
    text = f"step {step}: the losses are finite, but gradients are not{of_process(report)}: {report.batches[-1].line()}"
    if report.gradients:
        text += f"; {len(report.gradients)} parameters have such gradients, the last is {report.gradients[-1]}"
    return f"{text}; {report.module}"


def as_data(reports: Sequence[Report], step: int, **further: Any) -> dict[str, Any]:
    """The same, complete, for a line of `nonfinite.jsonl`."""
    processes = [{**asdict(report), "loss": None if report.loss is None else str(report.loss)} for report in reports]
    if any(report.bad >= 0 for report in reports):  # all gradients are of that loss
        for process in processes:
            del process["gradients"]
    return {"step": step, **further, "processes": processes}
