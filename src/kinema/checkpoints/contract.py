"""The contract of a checkpoint: what its weights are for, and how a video becomes the model's input.

It travels beside the weights as `config.json`, so that `kinema.load` needs one path.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from kinema import __version__
from kinema.errors import CheckpointError
from kinema.printable import first_line
from kinema.registry import Registry
from kinema.transforms.contract import join_pipeline, split_pipeline

logger = logging.getLogger("kinema")

FORMAT = 1
CONFIG_FILE = "config.json"
MOST_CHARACTERS = 4 << 20  # of a config.json
MOST_NAME = 2_000  # characters of a class name

Steps = list[dict[str, Any]]

_NEEDED = {"model": "the model", "sampling": "how frames are sampled", "preprocessing": "preprocessing"}
_OF_THE_FILE = ("format", "kinema_version")
_TYPES: dict[str, tuple[Any, str]] = {
    **dict.fromkeys(("model", "metrics", "best", "thresholds"), (Mapping, "an object")),
    **dict.fromkeys(("sampling", "preprocessing"), (list | tuple, "a list of transforms")),
    "zoo_name": (str, "a name"),
    **dict.fromkeys(("clip_seconds", "temperature"), (int | float, "a number")),
}
_COPIED = (Mapping, list | tuple)
LONGEST_CLIP = 86_400.0  # seconds
HIGHEST_TEMPERATURE = 1_000.0


@dataclass(frozen=True, kw_only=True)
class ModelContract:
    """What a checkpoint says besides its weights.

    Attributes:
        model: config of the model; None: it was built from objects, so nothing can build it again.
        classes: class names by index; empty: unknown.
        sampling: configs of the transforms between opening and decoding a video; None: unknown.
        preprocessing: configs of the transforms after decoding; None: unknown.
        metrics: values of the last validation by name; None: there was none.
        best: the best validation of the run so far (`metric`, `value`, `epoch`, `checkpoint`).
        zoo_name: the name by which `kinema.create_model` made the model.
        clip_seconds: how much of a video the model saw at a time in training; None: unknown.
        thresholds: from which score on a class is said to be there, by class name; None: untuned.
        temperature: what logits are divided by to make the scores calibrated probabilities; None:
            uncalibrated.
        further: what else the file says; it is kept when the model is saved again.
    """

    model: dict[str, Any] | None = None
    classes: tuple[str, ...] = ()
    sampling: Steps | None = None
    preprocessing: Steps | None = None
    metrics: dict[str, Any] | None = None
    best: dict[str, Any] | None = None
    zoo_name: str | None = None
    clip_seconds: float | None = None
    thresholds: dict[str, float] | None = None
    temperature: float | None = None
    further: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "ModelContract":
        """The contract in a folder that `save_pretrained` wrote.

        Its content is checked by type only.

        Raises:
            CheckpointError: it is missing or damaged, or written by a newer Kinema.
        """
        file = folder / CONFIG_FILE
        return cls.from_config(_read_config(file), str(file))

    @classmethod
    def from_config(cls, config: Mapping[str, Any], where: str) -> "ModelContract":
        """The contract that a `config.json` holds.

        Args:
            config: its content; entries may be missing or None.
            where: what messages call it.

        Raises:
            CheckpointError: an entry is of another type.
        """
        entries = dict(config)
        for name, (kinds, expected) in _TYPES.items():
            value = entries.get(name)
            if not isinstance(value, kinds | None):
                raise CheckpointError(f"{where}: expected {expected} for {name!r}, got a {type(value).__name__}")
            if value is not None and kinds in _COPIED:
                entries[name] = dict(value) if isinstance(value, Mapping) else list(value)
        _check_numbers(entries, where)
        entries["classes"] = class_names(entries.get("classes"), where)
        known = {entry.name for entry in fields(cls)} - {"further"}
        return cls(
            **{name: entries.pop(name) for name in known & entries.keys()},
            further={name: value for name, value in entries.items() if name not in _OF_THE_FILE},
        )

    def to_config(self) -> dict[str, Any]:
        """What `config.json` holds of it, see `config_text`."""
        names = ("metrics", "best", "zoo_name", "clip_seconds", "thresholds", "temperature")
        optional = {name: getattr(self, name) for name in names}
        return {
            **self.further,
            "model": self.model,
            "classes": list(self.classes),
            "sampling": self.sampling,
            "preprocessing": self.preprocessing,
            **{name: value for name, value in optional.items() if value is not None},
        }

    @property
    def pipeline(self) -> Steps:
        """Configs of transforms from `filename` to packed inputs; for a contract that is whole."""
        return join_pipeline(self.sampling or (), self.preprocessing or ())

    def with_pipeline(self, pipeline: Sequence[Mapping[str, Any]]) -> "ModelContract":
        """The contract of a model that `pipeline` feeds.

        Args:
            pipeline: configs of transforms; of those that open and decode no video nothing is
                known.
        """
        sampling, preprocessing = split_pipeline(pipeline) or (None, None)
        return replace(self, sampling=sampling, preprocessing=preprocessing)

    def require_whole(self, where: str) -> None:
        """Require all that is needed to build the model and to feed it a video.

        Raises:
            CheckpointError: something is unknown.
        """
        for name, what in _NEEDED.items():
            if getattr(self, name) is None:
                why = "trained from Python objects, not from a config"
                if self.model is not None:
                    why = "trained on something else than videos (sound, say), or from Python objects"
                raise CheckpointError(
                    f"{where}: does not say {what} ({name!r} is missing): it was {why}; build the model in your code"
                    " and use kinema.models.load_checkpoint"
                )


def class_names(classes: Any, where: str) -> tuple[str, ...]:
    """Class names by index; empty for None.

    Raises:
        CheckpointError: they are no list of texts.
    """
    if classes is None:
        return ()
    if not isinstance(classes, list | tuple) or not all(isinstance(name, str | int) for name in classes):
        raise CheckpointError(f"{where}: its classes are no list of names")
    names = tuple(map(str, classes))
    if any(len(name) > MOST_NAME for name in names):
        raise CheckpointError(f"{where}: one of its classes has a name of more than {MOST_NAME} characters")
    return names


def _check_numbers(entries: Mapping[str, Any], where: str) -> None:
    """Raises CheckpointError: a number of the contract is out of its range."""
    for name, most in (("clip_seconds", LONGEST_CLIP), ("temperature", HIGHEST_TEMPERATURE)):
        value = entries.get(name)
        if value is not None and not (type(value) in (int, float) and 0 < value <= most):
            raise CheckpointError(f"{where}: {name!r} must be above 0 and at most {most:g}, got {value!r:.80}")
    for label, value in (entries.get("thresholds") or {}).items():
        if not (isinstance(label, str) and type(value) in (int, float) and 0 <= value <= 1):
            raise CheckpointError(
                f"{where}: 'thresholds' must hold a number from 0 to 1 for a class name, got {value!r:.80} for"
                f" {label!r:.80}"
            )


def _read_config(file: Path) -> dict[str, Any]:
    """The content of a `config.json` that this version can read."""
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(MOST_CHARACTERS + 1)
        if len(text) > MOST_CHARACTERS:
            raise CheckpointError(
                f"{file}: is longer than {MOST_CHARACTERS} characters, so it is no config of a checkpoint"
            )
        config = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: is no JSON file that can be read: {first_line(error)}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{file}: expected a JSON object, got a {type(config).__name__}")
    version = config.get("format", 1)
    if type(version) is not int or version < 1:
        raise CheckpointError(f"{file}: 'format' must be a whole number above 0, got {version!r:.80}")
    if version > FORMAT:
        raise CheckpointError(
            f"{file}: is of format {version}, this Kinema {__version__} reads up to {FORMAT}: it was written by a newer"
            " Kinema, install that one"
        )
    return config


def config_text(config: Mapping[str, Any]) -> str:
    """The text of a `config.json` with this content; `format` and `kinema_version` are added.

    Raises:
        TypeError: it holds something that JSON cannot.
    """
    try:
        return json.dumps({"format": FORMAT, "kinema_version": __version__, **config}, indent=2) + "\n"
    except TypeError as error:
        raise TypeError(f"the config of a checkpoint must be plain dicts, lists, texts and numbers: {error}") from None


def portable_config(config: Any, registry: Registry) -> Any:
    """A config as JSON can hold it: registered classes by their names, tuples as lists.

    Args:
        config: nested dicts, lists and values.
        registry: where classes have their names.

    Returns:
        The same in plain types; None when something in it cannot be written down.
    """
    try:
        return _portable(config, registry)
    except TypeError as error:
        logger.info("the checkpoints will not say how to rebuild the %s: %s", registry.name, str(error))  # no frames
        return None


def _portable(value: Any, registry: Registry) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _portable(entry, registry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(entry, registry) for entry in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    name = getattr(value, "__name__", "")
    if name and registry.get(name) is value:
        return name
    raise TypeError(f"its config holds {value!r}, which is neither a plain value nor a registered part")
