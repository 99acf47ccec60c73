"""Folders of transformers: `config.json` and `model.safetensors`, read in full or refused."""

import contextlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from kinema.checkpoints.reading import shortened
from kinema.errors import CheckpointError
from kinema.models.backbones.libraries.network import import_library

logger = logging.getLogger("kinema")

CONFIG_FILE = "config.json"
WEIGHTS_FILES = ("model.safetensors", "model.safetensors.index.json")
# Of larger models or other tasks: what an encoder may leave.
_SPARE = re.compile(
    r"^(classifier|fc_norm|visual_projection|text_projection|logit_scale|logit_bias|mask_token|encoder_to_decoder)"
    r"|^(text_model|decoder|pooler|predictor)\.|(^|\.)(position_ids)$"
)
# A classifier, or a pooling that is not used: new where the file has none.
_NEW = re.compile(r"^(classifier|fc_norm)\.|(^|\.)pooler\.")


def load_folder(network_class: Any, source: str, settings: Mapping[str, Any], *, download: bool) -> nn.Module:
    """A network with the weights of a folder.

    Args:
        network_class: class of transformers.
        source: the folder; with `download` the name of a model of the Hub, too.
        settings: of the config, in place of those in the folder.
        download: ask the Hub for what is not there.

    Raises:
        CheckpointError: there is no such folder, or it has no config or no safetensors; a weight of it
            has no place, a tensor of the network has no weight, or shapes differ.
    """
    if not download:
        check_folder(Path(source))
    config, _ = network_class.config_class.from_pretrained(
        source, **settings, return_unused_kwargs=True, local_files_only=not download
    )
    with _quiet():
        network, read = network_class.from_pretrained(
            source,
            config=config,
            local_files_only=not download,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are errors below
        )
    is_new = "num_labels" in settings
    resized = [entry[0] for entry in read["mismatched_keys"] if is_new and entry[0].startswith("classifier.")]
    problems = {
        "missing": [name for name in read["missing_keys"] if not _NEW.search(name)],
        "unexpected": [name for name in read["unexpected_keys"] if not _SPARE.search(name)],
        "of another shape": [entry[0] for entry in read["mismatched_keys"] if entry[0] not in resized],
    }
    wrong = "; ".join(f"{what}: {shortened(sorted(names))}" for what, names in problems.items() if names)
    if wrong:
        raise CheckpointError(f"{source} does not hold the weights of a {network_class.__name__}: {wrong}")
    new = sorted(name for name in {*read["missing_keys"], *resized} if name.startswith(("classifier.", "fc_norm.")))
    if new:
        logger.info("%s: the classifier is new: %s", source, shortened(new))
    if read["unexpected_keys"]:
        logger.info("%s: not needed: %s", source, shortened(sorted(read["unexpected_keys"]), 4))
    whole: nn.Module = network
    return whole


def check_folder(folder: Path) -> None:
    """Raise `CheckpointError` unless a folder has what `load_folder` reads."""
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: there is no such folder; a model of the Hub is fetched only where download=True asks for it"
        )
    if not (folder / CONFIG_FILE).is_file():
        raise CheckpointError(f"{folder}: the folder has no {CONFIG_FILE}, so it is none of transformers")
    if not any((folder / file).is_file() for file in WEIGHTS_FILES):
        raise CheckpointError(
            f"{folder}: the folder has no {WEIGHTS_FILES[0]}; files of pickle are not read: save_pretrained of"
            " transformers writes safetensors"
        )


def number_of_labels(folder: Path) -> int:
    """Classes of the classifier of a folder; transformers' default, 2, where its config says nothing."""
    values = _json(folder / CONFIG_FILE)
    labels = values.get("id2label")
    return len(labels) if isinstance(labels, Mapping) else int(values.get("num_labels", 2))


def normalisation(folder: Path) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation, of values from 0 to 255, that the images of a folder's network are normalised by.

    None where the folder has no `preprocessor_config.json` or `video_preprocessor_config.json`.
    """
    files = [folder / name for name in ("video_preprocessor_config.json", "preprocessor_config.json")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        return None
    values = _json(file)
    scale = float(values.get("rescale_factor", 1 / 255)) if values.get("do_rescale", True) else 1.0
    offset = 1.0 if values.get("offset") else 0.0  # ViViT takes 1 from the rescaled values
    normalises = values.get("do_normalize", True)
    mean = [float(value) for value in values.get("image_mean", [0.5] * 3)] if normalises else [0.0] * 3
    std = [float(value) for value in values.get("image_std", [0.5] * 3)] if normalises else [1.0] * 3
    return [(value + offset) / scale for value in mean], [value / scale for value in std]


def _json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: no JSON that can be read: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file}: expected an object of settings, found a {type(values).__name__}")
    return values


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the bars and reports of transformers: what is wrong is an error here."""
    their_logging = import_library("transformers.utils.logging", "")
    level, bars = their_logging.get_verbosity(), their_logging.is_progress_bar_enabled()
    their_logging.set_verbosity_error()
    their_logging.disable_progress_bar()
    try:
        yield
    finally:
        their_logging.set_verbosity(level)
        if bars:
            their_logging.enable_progress_bar()
