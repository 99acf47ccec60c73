"""What a checkpoint is for: its model, class names, sampling and preprocessing, wherever the file comes from."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinema.checkpoints.contract import CONFIG_FILE, ModelContract, Steps, class_names
from kinema.checkpoints.reading import Checkpoint
from kinema.config import Config
from kinema.config.text import parse_config_text
from kinema.errors import CheckpointError, ConfigError
from kinema.inference.known_classes import public_classes
from kinema.inference.untrusted import checked_model, checked_pipeline
from kinema.models import MaskedAutoencoder
from kinema.openmmlab.configs import from_0x, is_of_0x, pipeline_of_tests, without_pretrained
from kinema.printable import first_line


def read_contract(folder: Path) -> ModelContract:
    """The contract of a folder that `save_pretrained` wrote, checked: it is data of whoever wrote it.

    Raises:
        CheckpointError: it lacks something, or a file may not say what it says.
    """
    where = str(folder / CONFIG_FILE)
    contract = ModelContract.read(folder)
    _require_recognizer(contract, where)
    contract.require_whole(where)
    model = checked_model(contract.model or {}, where)
    sampling, preprocessing = contract.sampling or [], contract.preprocessing or []
    steps = checked_pipeline([*sampling, *preprocessing], where)
    return replace(contract, model=model, sampling=steps[: len(sampling)], preprocessing=steps[len(sampling) :])


def _require_recognizer(contract: ModelContract, where: str) -> None:
    """Raises CheckpointError: the checkpoint is of a pretraining, which names no actions."""
    if (contract.model or {}).get("type") == MaskedAutoencoder.__name__:
        raise CheckpointError(
            f"{where}: was pretrained without labels, so it names no actions: train a recognizer that starts from it"
            " (kinema train CLIPS --pretrained ...)"
        )


def given_contract(config: Mapping[str, Any], where: str) -> tuple[ModelContract, Steps]:
    """The contract of a folder, by a config that the user gives: of MMAction2's form, or as `config.json` holds it.

    Returns:
        The contract and the whole pipeline, see `foreign_contract`.

    Raises:
        CheckpointError: it lacks what is needed.
    """
    if "sampling" not in config or "preprocessing" not in config:
        return foreign_contract(Checkpoint({}), config, where)
    contract = ModelContract.from_config(config, where)
    contract.require_whole(where)
    return contract, contract.pipeline


def foreign_contract(read: Checkpoint, config: Mapping[str, Any] | None, where: str) -> tuple[ModelContract, Steps]:
    """The contract of a file of MMAction2, from the config that it was trained with.

    Args:
        read: the file.
        config: that config; None takes the one that training wrote into the file.
        where: what messages call the file.

    Returns:
        The contract, and the pipeline from `filename` to packed inputs. The contract has its parts
        only where the pipeline opens and decodes a video.

    Raises:
        CheckpointError: the config is not in the file, or lacks what is needed.
    """
    meta = read.content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    is_from_file = config is None
    if config is None:
        text = meta.get("cfg", meta.get("config"))
        if not isinstance(text, str):
            raise CheckpointError(
                f"{where}: the file does not hold its config: give it, as in kinema.load(path, config='config.py')"
            )
        try:
            config = parse_config_text(text, f"{where}: the config in it")
        except ConfigError as error:
            raise CheckpointError(f"{error}. Give the config, as in kinema.load(path, config='config.py')") from None
    try:
        today = from_0x(config) if is_of_0x(config) else config
        model, pipeline = today.get("model"), pipeline_of_tests(today)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise CheckpointError(f"{where}: its config is not of the form of MMAction2's: {first_line(error)}") from error
    if not isinstance(model, Mapping) or not pipeline:
        lacks = (
            "pipeline (test_pipeline or test_dataloader.dataset.pipeline)" if isinstance(model, Mapping) else "model"
        )
        raise CheckpointError(f"{where}: its config has no {lacks}")
    dataset_meta = meta.get("dataset_meta")
    names = (dataset_meta if isinstance(dataset_meta, Mapping) else meta).get("classes", meta.get("CLASSES"))
    classes = class_names(names, where)
    if is_from_file:
        plain, steps = checked_model(model, where), checked_pipeline(pipeline, where)
    else:
        plain, steps = without_pretrained(Config(dict(model)).to_dict()), [dict(step) for step in pipeline]
    if not classes:
        head = plain.get("cls_head")
        classes = public_classes(config, head.get("num_classes") if isinstance(head, Mapping) else None, where)
    return ModelContract(model=plain, classes=classes).with_pipeline(steps), steps
