"""What the work folder of a run says of it: its clips, its figures, its settings."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinema.datasets.annotations import Split, read_annotations
from kinema.datasets.annotations.hold_out import take_part
from kinema.errors import AnnotationError, KinemaError
from kinema.runs.records import MetricsFile
from kinema.runs.settings_file import flat, read_run

_READ = ("VideoDataset", "ShardDataset")
# Of a dataset's config, what chooses clips and labels; what `Split` holds itself is not among them.
_KEPT = ("hold_out", "fold", "delimiter", "multi_class", "num_classes")
_MARKS_OF_SETTINGS = ("--set", "--cfg-options")


@dataclass(frozen=True)
class RunFiles:
    """The files of a run; empty where there is no work folder.

    Attributes:
        folder: the work folder; None: the model came without.
        settings: what `run.json` says.
        history: lines of `metrics.jsonl`.
    """

    folder: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved config."""
        config = self.settings.get("config")
        return config if isinstance(config, Mapping) else {}


def run_files(checkpoint: str) -> RunFiles:
    """The files of the run that wrote a checkpoint.

    Args:
        checkpoint: a folder in the `checkpoints` of a work folder, or anything else, which has no
            run.
    """
    folder = Path(checkpoint)
    if folder.parent.name != "checkpoints":
        return RunFiles()
    work_dir = folder.parent.parent
    metrics = work_dir / "metrics.jsonl"
    history = MetricsFile(metrics).read() if metrics.is_file() else []
    return RunFiles(work_dir, read_run(work_dir) or {}, history)


def clips_of_run(run: RunFiles, part: str) -> Split:
    """The clips that a run trained or validated on, as its config chose them.

    Args:
        run: the run.
        part: "train" or "val".

    Raises:
        AnnotationError: the run does not say which, or the clips are not there any more.
    """
    name = {"train": "training", "val": "validation"}[part]
    config = _mapping(_mapping(run.config.get(f"{part}_dataloader")).get("dataset"))
    while not config.get("ann_file") and _mapping(config.get("dataset")):  # of a wrapper
        config = _mapping(config["dataset"])
    where = run.folder or "the checkpoint"
    source = config.get("ann_file") or config.get("folder")
    kind = str(config.get("type", "")).rpartition(".")[2]
    if kind not in _READ or not isinstance(source, str):
        raise AnnotationError(f"{where}: names no {name} clips that can be found again: name labelled clips (DATA)")
    base = Path(str(run.settings.get("folder", "")), str(config.get("data_root") or ""))
    path = base / source
    if not path.exists():
        raise AnnotationError(f"{path}: the {name} clips of {where} are not there any more: name labelled clips (DATA)")
    try:
        return _split(config, path, base)
    except (TypeError, ValueError) as error:
        raise AnnotationError(
            f"{where}: its {name} clips cannot be read again: {error}: name labelled clips"
        ) from error


def _split(config: Mapping[str, Any], path: Path, base: Path) -> Split:
    options = {key: config[key] for key in _KEPT if config.get(key) is not None}
    if path.is_dir() and config.get("folder"):
        from kinema.datasets.annotations.shard_index import load_index

        index = load_index(path)
        several = bool(config.get("multi_class"))
        return Split(index.annotations, path, shards=index, multi_label=several, options=options)
    prefix = _mapping(config.get("data_prefix")).get("video")
    root = base / prefix if isinstance(prefix, str) and prefix else None
    delimiter = config.get("delimiter", " ")
    annotations = read_annotations(
        path,
        config.get("ann_format", "auto"),
        split=config.get("split"),
        fold=config.get("fold", 1),
        delimiter=None if delimiter == " " else delimiter,
        multi_label=bool(config.get("multi_class")),
        columns=config.get("columns"),
        class_names=_mapping(config.get("metainfo")).get("classes"),
        video_root=root,
    )
    return Split(
        take_part(annotations, config.get("hold_out")),
        annotations.video_root or root or path.parent,
        part=config.get("split"),
        columns=config.get("columns"),
        multi_label=bool(config.get("multi_class")),
        options=options,
    )


def training_clips(run: RunFiles) -> Split | None:
    """The clips that a run trained on; None where they are not known or not there any more."""
    if run.folder is None:
        return None
    try:
        return clips_of_run(run, "train")
    except (KinemaError, OSError):
        return None


@dataclass(frozen=True)
class Setting:
    """A value of a config: its dotted key, its value as text, and where it comes from."""

    key: str
    value: str
    origin: str


def settings_with_origins(run: RunFiles) -> list[Setting]:
    """Every value of a run's config, with the file and line where it was written, "command line" or "recipe"."""
    command = [str(word) for word in run.settings.get("command") or ()]
    given = _given_keys(command)
    source = next(
        (word for word in command if Path(word).suffix in (".py", ".yaml", ".yml") and "train" in command), ""
    )
    base = os.path.basename(source) if source and command.index(source) > 1 else "recipe"  # noqa: PTH119
    origins, folder = _mapping(run.settings.get("origins")), str(run.settings.get("folder", ""))
    return [
        Setting(
            key,
            _short(value),
            "command line" if _is_given(key, given) else str(origins.get(key, base)).removeprefix(f"{folder}/"),
        )
        for key, value in flat(run.config).items()
    ]


def _given_keys(command: Sequence[str]) -> set[str]:
    """The dotted keys that `--set a.b=c` of a command names."""
    keys: set[str] = set()
    taking = False
    for word in command:
        mark, equals, rest = word.partition("=")
        if mark in _MARKS_OF_SETTINGS:
            taking = True
            if not equals:
                continue
            word = rest
        elif word.startswith("-"):
            taking = False
        if taking and "=" in word:
            keys.add(word.partition("=")[0])
    return keys


def _is_given(key: str, given: set[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in given)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]} ... ({len(text):,} characters)"


def shown_command(run: RunFiles) -> str:
    """The command of a run as a shell takes it."""
    words = [str(word) for word in run.settings.get("command") or ()]
    for place, word in enumerate(words[:4]):
        if Path(word).name == "kinema" or (word == "kinema" and words[place - 1] == "-m"):
            return shlex.join(["kinema", *words[place + 1 :]])
    return shlex.join(words)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
