"""Which model, how many epochs and what batch suit some data on some machine: `kinema train --preset`.

`fast` is the small network of Kinema's own, which trains in minutes on a CPU. `balanced` and `best`
are larger: X3D on a CPU, whose operations are few for what it reaches; on a GPU X3D-M and
SlowFast-R50. They see more frames of more pixels, and take a multiple of the time and the memory.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from kinema.checkpoints.downloads import find_cached
from kinema.cores import available_cores
from kinema.distributed import auto_device
from kinema.errors import ConfigError
from kinema.models import zoo
from kinema.recipes.trial import available_memory

PRESETS = ("fast", "balanced", "best")
FEW_CLIPS = 2000  # for a large network from scratch
MEMORY_SHARE = 0.5  # of what there is, for the activations of a batch
LARGEST_BATCH = {"cpu": 8, "cuda": 32}

# Megabytes that a clip keeps for the backward pass; those of X3D measured (`--dry-run`), the others
# by their operations. The trial before a training measures them on the spot.
_MEGABYTES_A_CLIP = {"x3d_xs": 105, "x3d_s": 335, "x3d_m": 810, "slowfast_r50": 1100}
_MODELS = {
    ("balanced", "cpu"): "x3d_xs",
    ("balanced", "cuda"): "x3d_m",
    ("best", "cpu"): "x3d_s",
    ("best", "cuda"): "slowfast_r50",
}
# Steps of a whole training: from scratch, and from weights.
_STEPS = {"balanced": (1500, 500), "best": (3000, 1000)}
_EPOCHS = {"balanced": (30, 100), "best": (60, 200)}  # at least and at most, from scratch; a third from weights


@dataclass(frozen=True)
class ClipSetFacts:
    """What a choice depends on of the data: how many clips there are to train on, of how many classes."""

    num_clips: int
    num_classes: int


@dataclass(frozen=True)
class Machine:
    """What a choice depends on of the machine.

    Attributes:
        device: "cpu" or "cuda".
        cores: that this process may use.
        memory_bytes: of the device; None: not known.
    """

    device: str
    cores: int
    memory_bytes: int | None


@dataclass(frozen=True)
class Choice:
    """What to train and how.

    Attributes:
        model: a name of the zoo.
        epochs: passes over the training clips; None: as without a preset.
        batch_size: clips a step; None: as without a preset.
        pretrained: weights to start from; None: from scratch.
        why: reasons, a sentence each.
    """

    model: str
    epochs: int | None
    batch_size: int | None
    pretrained: str | None
    why: tuple[str, ...]


def this_machine(device: str = "auto") -> Machine:
    """The machine that this process runs on; `device` as in `kinema train --device`."""
    chosen = auto_device() if device == "auto" else device
    kind = "cuda" if chosen.startswith("cuda") else "cpu"
    is_there = kind == "cpu" or torch.cuda.is_available()
    return Machine(kind, available_cores(), available_memory(chosen if kind == "cuda" else kind) if is_there else None)


def has_cached_weights(model: str) -> bool:
    """Do the published weights of a model lie in the cache, so that no network is needed?"""
    weights = zoo.card(model).weights
    return weights is not None and find_cached(weights.url) is not None


def choose(
    preset: str, facts: ClipSetFacts, machine: Machine, has_weights: Callable[[str], bool] = has_cached_weights
) -> Choice:
    """What a preset picks.

    Args:
        preset: "fast", "balanced" or "best".
        facts: of the clips.
        machine: to train on.
        has_weights: are the published weights of a model there?

    Raises:
        ConfigError: there is no such preset.
    """
    if preset not in PRESETS:
        raise ConfigError(f"--preset: expected {', '.join(PRESETS)}, got {preset!r}")
    if preset == "fast":
        return Choice("compact3d", None, None, None, ("fast: the small network, which trains in minutes on a CPU",))
    model = _MODELS[preset, machine.device]
    card = zoo.card(model)
    starts_trained = has_weights(model)
    batch = _batch_size(model, facts, machine)
    steps = _STEPS[preset][starts_trained]
    least, most = _EPOCHS[preset]
    divisor = 3 if starts_trained else 1
    epochs = int(np.clip(steps * batch // max(facts.num_clips, 1), least // divisor, most // divisor))
    why = [
        f"{preset}: on a {'GPU' if machine.device == 'cuda' else 'CPU'} {model}, {card.params_millions:g} million"
        f" parameters, {card.gflops:g} billion operations a clip ({card.source})"
    ]
    if starts_trained:
        assert card.result is not None
        why.append(f"it starts from its published weights ({card.result.dataset}), which are in the cache")
        return Choice(model, epochs, batch, "published", tuple(why))
    why.append(_from_scratch(card, facts))
    return Choice(model, epochs, batch, None, tuple(why))


def _batch_size(model: str, facts: ClipSetFacts, machine: Machine) -> int:
    """The largest power of two whose activations fit, and that leaves some steps to an epoch."""
    most = min(LARGEST_BATCH[machine.device], max(2, facts.num_clips // 8))
    if machine.memory_bytes is not None:
        most = min(most, int(MEMORY_SHARE * machine.memory_bytes / (_MEGABYTES_A_CLIP[model] * 1e6)))
    return int(2 ** np.floor(np.log2(max(most, 2))))


def _from_scratch(card: zoo.Card, facts: ClipSetFacts) -> str:
    few = ""
    if facts.num_clips < FEW_CLIPS:
        few = f"; from scratch {facts.num_clips:,} clips are few for it, and fast may do as well"
    if card.weights is None:
        return f"it trains from scratch, for nobody published weights of it{few}"
    result = card.result
    reached = f", which reach {result.top1:g} % on {result.dataset}" if result is not None else ""
    return (
        f"it trains from scratch: its published weights{reached}, are not in the cache; `--pretrained published`"
        f" downloads them, and a network that starts from them needs fewer clips and a third of the epochs{few}"
    )
