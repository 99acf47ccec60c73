"""The facts of a published training recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Augmentation = Literal["crop", "multi-scale", "multi-scale 13", "two scales", "resized crop", "jittered", "rescaled"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the networks of a family are trained.

    Attributes:
        name: its name.
        models: names of the zoo that it is the recipe of, with wildcards; the first is the one that
            `--recipe` alone trains.
        source: where the method is described.
        config: name of the OpenMMLab config whose numbers these are; empty: none.
        lr: the learning rate for `batch` clips a step, of all processes together; it grows and
            shrinks with them.
        batch: see there.
        epochs: passes over the clips; None: as many as without a recipe.
        drops: epochs after which the learning rate falls to a tenth; empty: half a cosine to 0.
        last_rate: share of the learning rate that the cosine ends with.
        warmup: epochs in which it rises from `warmup_start` of itself.
        warmup_start: see there.
        warmup_overlaps: the cosine begins with the warm-up, not behind it.
        optimizer: a name of `torch.optim`; SGD has a momentum of 0.9.
        nesterov: Nesterov's momentum.
        weight_decay: of all parameters; under `tsm_groups` of weights alone.
        clip: the largest norm of the gradient; None: any.
        tsm_groups: no weight decay for biases and norms, twice the rate for biases, and with
            `fast_classifier` five times the rate for the classifier and ten times for its bias.
        fast_classifier: see there.
        undecayed: parts of names; parameters with one of them have no weight decay.
        decays_norms: norms and biases have weight decay.
        backbone_rate: learning rate of the backbone, as a share of the classifier's.
        layer_decay: quotient of the learning rates of a block and the block behind it, without weight
            decay for norms and biases; None: all learn alike.
        drop_path: rate of the backbone; None: that of the model.
        label_smoothing: share of a label that is spread over all classes.
        mixup: alpha of blending pairs of clips; None: none.
        cutmix: alpha of pasting boxes of another clip; with `mixup` one of the two a step.
        repeats: samples of a clip, decoded once; a step has so many times more of them than clips.
        rand_augment: level and number of the operations of `RandAugment`; None: none.
        erasing: probability of erasing a box of a clip.
        augmentation: how crops are cut, see `kinema.recipes.training.AUGMENTATIONS`.
        mirrored: half of the clips are mirrored.
        dense: frames come from a stretch of 64 frames instead of the whole video.
        fits_clips: distance of frames and shape of the picture follow the clips at hand, as without
            a recipe; else they are as published.
        start: data set of the weights that the training starts from; empty: from scratch.
        weights: their addresses by model, with wildcards; ImageNet's are found by the network.
            `zoo:NAME` are the published weights of a model, `zoo:` those of the model itself.
        start_settings: what the backbone must know of these weights.
        frozen_norms: the norms of these weights stay as they are.
        frozen: only the head learns.
        doubt: why it may not suit a user's clips; empty: no reason is known.
    """

    name: str
    models: tuple[str, ...]
    source: str
    config: str = ""
    lr: float
    batch: int
    epochs: int | None
    drops: tuple[int, ...] = ()
    last_rate: float = 0
    warmup: float = 0
    warmup_start: float = 0.1
    warmup_overlaps: bool = False
    optimizer: str = "SGD"
    nesterov: bool = False
    weight_decay: float = 1e-4
    clip: float | None = 40
    tsm_groups: bool = False
    fast_classifier: bool = True
    undecayed: tuple[str, ...] = ()
    decays_norms: bool = True
    backbone_rate: float = 1
    layer_decay: float | None = None
    drop_path: float | None = None
    label_smoothing: float = 0
    mixup: float | None = None
    cutmix: float | None = None
    repeats: int = 1
    rand_augment: tuple[int, int] | None = None
    erasing: float = 0
    augmentation: Augmentation
    mirrored: bool = True
    dense: bool = False
    fits_clips: bool = False
    start: str = ""
    weights: Mapping[str, str] = field(default_factory=dict)
    start_settings: Mapping[str, Any] = field(default_factory=dict)
    frozen_norms: bool = False
    frozen: bool = False
    doubt: str = ""
