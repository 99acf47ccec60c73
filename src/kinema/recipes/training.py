"""From the facts of a recipe to the parts of a config: optimizer, schedule, the way of clips into training."""

import inspect
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from kinema.errors import ConfigError
from kinema.models import zoo
from kinema.models.zoo import Card, InputSpec
from kinema.models.zoo.creation import published_weights
from kinema.recipes.recipe import Recipe
from kinema.registry import MODELS

logger = logging.getLogger("kinema")

Step = dict[str, Any]

MOMENTUM = 0.9
# Words of class names that a mirror swaps.
_MIRRORED_WORDS = (
    *(("left", "right"), ("leftward", "rightward"), ("leftwards", "rightwards")),
    *(("clockwise", "counterclockwise"), ("clockwise", "anticlockwise")),
)


# ---- optimizer and schedule


def training_settings(recipe: Recipe, epochs: int) -> dict[str, Any]:
    """`optim_wrapper`, `auto_scale_lr` and `param_scheduler` of a recipe.

    The learning rate is the published one; the run makes it proportional to the clips of an update
    of all processes (Goyal et al. 2017, arXiv:1706.02677, section 2.1).

    Args:
        recipe: the facts.
        epochs: of this training. Drops and warm-up keep their share of it.
    """
    optimizer: dict[str, Any] = {
        "type": recipe.optimizer,
        "lr": recipe.lr,
        "weight_decay": recipe.weight_decay,
    }
    if recipe.optimizer == "SGD":
        optimizer |= {"momentum": MOMENTUM, **({"nesterov": True} if recipe.nesterov else {})}
    wrapper: dict[str, Any] = {"optimizer": optimizer, **_groups(recipe)}
    if recipe.clip is not None:
        wrapper["clip_grad"] = {"max_norm": recipe.clip, "norm_type": 2}
    scaling = {"enable": True, "base_batch_size": recipe.batch}
    return {"optim_wrapper": wrapper, "auto_scale_lr": scaling, "param_scheduler": schedules(recipe, epochs)}


def _groups(recipe: Recipe) -> dict[str, Any]:
    """What an optimizer's config says of parameters that learn unlike the others."""
    if recipe.tsm_groups:
        rules: dict[str, Any] = {"fc_lr5": recipe.fast_classifier}
        return {"constructor": "TSMOptimWrapperConstructor", "paramwise_cfg": rules}
    if recipe.layer_decay is not None:
        rules = {"decay_rate": recipe.layer_decay, "decay_type": "layer_wise"}
        return {"constructor": "LearningRateDecayOptimizerConstructor", "paramwise_cfg": rules}
    rules = {name: {"decay_mult": 0.0} for name in recipe.undecayed}
    if recipe.backbone_rate != 1:
        rules["backbone"] = {"lr_mult": recipe.backbone_rate}
        return {"constructor": "SwinOptimWrapperConstructor", "paramwise_cfg": rules}
    rules = {"custom_keys": rules} if rules else {}
    if not recipe.decays_norms:
        rules |= {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0}
    return {"paramwise_cfg": rules} if rules else {}


def schedules(recipe: Recipe, epochs: int) -> list[dict[str, Any]]:
    """The schedules of a training of `epochs`, of which warm-up and cosine change at every step."""
    published = recipe.epochs or epochs

    def scaled(epoch: int) -> int:
        return max(1, round(epoch * epochs / published))

    warmup = recipe.warmup * epochs / published
    if warmup and not recipe.warmup % 1:  # whole epochs stay whole
        warmup = max(1, round(warmup))
    warmup = min(warmup, epochs - 1)
    parts: list[dict[str, Any]] = []
    if warmup:
        parts.append(
            {
                "type": "LinearLR",
                "start_factor": recipe.warmup_start,
                "begin": 0,
                "end": warmup,
                "convert_to_iter_based": True,
            }
        )
    if recipe.drops:
        parts.append({"type": "MultiStepLR", "milestones": [scaled(epoch) for epoch in recipe.drops], "gamma": 0.1})
    else:
        begin = 0 if recipe.warmup_overlaps else warmup
        cosine = {"type": "CosineAnnealingLR", "begin": begin, "end": epochs, "convert_to_iter_based": True}
        parts.append(cosine | ({"eta_min_ratio": recipe.last_rate} if recipe.last_rate else {}))
    return parts


# ---- the way of clips into training


def _multi_scale(
    spec: InputSpec, places: int = 5, scales: Sequence[float] = (1, 0.875, 0.75, 0.66), gap: int = 1
) -> list[Step]:
    crop = {"type": "MultiScaleCrop", "input_size": spec.size, "scales": tuple(scales), "max_wh_scale_gap": gap}
    return [_short_side(spec), crop | ({"num_fixed_crops": places} if places != 5 else {}), _square(spec)]


def _rescaled(spec: InputSpec) -> list[Step]:
    shortest, longest = (int(share * spec.size) for share in (1.143, 1.43))
    return [{"type": "RandomRescale", "scale_range": (shortest, longest)}, {"type": "RandomCrop", "size": spec.size}]


def _short_side(spec: InputSpec) -> Step:
    """Frames of which crops are cut: larger than these, also where whole frames are evaluated."""
    side = spec.short_side if spec.short_side > spec.size else int(spec.size * 8 / 7)
    return {"type": "Resize", "scale": (-1, side)}


def _square(spec: InputSpec) -> Step:
    return {"type": "Resize", "scale": (spec.size, spec.size), "keep_ratio": False}


# How frames become squares of the model's size, before they are mirrored.
AUGMENTATIONS: Mapping[str, Callable[[InputSpec], list[Step]]] = {
    "crop": lambda spec: [_short_side(spec), {"type": "RandomCrop", "size": spec.size}],
    "multi-scale": _multi_scale,
    "multi-scale 13": lambda spec: _multi_scale(spec, 13),
    "two scales": lambda spec: _multi_scale(spec, scales=(1, 0.8), gap=0),
    "resized crop": lambda spec: [_short_side(spec), {"type": "RandomResizedCrop"}, _square(spec)],
    "jittered": lambda spec: [{"type": "RandomResizedCrop"}, _square(spec)],
    "rescaled": _rescaled,
}


def train_pipeline(
    pipeline: Sequence[Mapping[str, Any]], recipe: Recipe, spec: InputSpec, classes: Sequence[str]
) -> list[Step]:
    """A training pipeline whose crops, mirroring and colours are those of a recipe.

    Args:
        pipeline: of the model, as `zoo.video_pipeline(..., train=True)` gives it.
        recipe: the facts.
        spec: what the model takes.
        classes: names by class index; where a mirror swaps two of them ("turn left"), mirrored
            clips get the other's label; where it has no counterpart, no clip is mirrored.
    """
    steps = sampled([dict(step) for step in pipeline], recipe)
    if recipe.fits_clips:
        return steps
    names = [step["type"] for step in steps]
    crops = AUGMENTATIONS[recipe.augmentation](spec)
    if recipe.mirrored:
        swapped = mirrored_labels(classes)
        if swapped is not None:
            crops.append({"type": "Flip", "flip_ratio": 0.5, **({"flip_label_map": swapped} if swapped else {})})
    if recipe.rand_augment is not None:
        magnitude, num_layers = recipe.rand_augment
        crops.insert(1, {"type": "RandAugment", "magnitude": magnitude, "num_layers": num_layers})
    if recipe.erasing:
        crops.append({"type": "RandomErasing", "erase_prob": recipe.erasing, "mode": "rand"})
    if recipe.augmentation == "jittered":
        crops.append({"type": "ColorJitter"})
    return [*steps[: names.index("DecodeVideo") + 1], *crops, *steps[names.index("FormatShape") :]]


def sampled(pipeline: Sequence[Mapping[str, Any]], recipe: Recipe) -> list[Step]:
    """A pipeline that chooses frames as a recipe does."""
    steps = [dict(step) for step in pipeline]
    if not recipe.dense:
        return steps
    kept = ("clip_len", "frame_interval", "num_clips", "test_mode")
    return [
        {"type": "DenseSampleFrames", **{key: step[key] for key in kept}} if step["type"] == "SampleFrames" else step
        for step in steps
    ]


def mirrored_labels(classes: Sequence[str]) -> dict[int, int] | None:
    """Label -> label of the mirrored action, of those that a mirror changes.

    None: a name says a direction, and there is no class of the other one.
    """
    places = {name.lower(): place for place, name in enumerate(classes)}
    swapped: dict[int, int] = {}
    for place, name in enumerate(classes):
        others = {_mirrored(name.lower(), pair) for pair in _MIRRORED_WORDS} - {name.lower()}
        if not others:
            continue
        matches = [places[other] for other in others if other in places]
        if not matches:
            return None
        swapped[place] = matches[0]
    return swapped


def _mirrored(name: str, pair: tuple[str, str]) -> str:
    words = dict((pair, pair[::-1]))
    return re.sub(r"[a-z]+", lambda word: words.get(word[0], word[0]), name)


def repeated(dataset: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The config of a dataset of training clips, with as many samples of each as a recipe says.

    Raises:
        ConfigError: its clips are in shards, which give one.
    """
    if recipe.repeats == 1:
        return dict(dataset)
    if dataset["type"] != "VideoDataset":
        raise ConfigError(
            f"the recipe {recipe.name!r} takes {recipe.repeats} samples of a decoded video, which shards cannot give:"
            " train on the video files, or without a recipe"
        )
    return {**dataset, "type": "RepeatAugDataset", "num_repeats": recipe.repeats}


# ---- the model


def model_of_training(
    model: Mapping[str, Any], recipe: Recipe, num_classes: int, *, multi_label: bool = False
) -> dict[str, Any]:
    """The config of a model that learns as a recipe says: blended clips, smoothed labels, dropped paths.

    Args:
        model: the config, as the zoo gives it.
        recipe: the facts.
        num_classes: N.
        multi_label: a clip may have several labels, which are not smoothed.

    Raises:
        ConfigError: the recipe is for networks of another kind.
    """
    backbone, head = dict(model["backbone"]), dict(model["cls_head"])
    _require_kind(recipe, backbone["type"])
    known = inspect.signature(MODELS.get(backbone["type"])).parameters  # type: ignore[arg-type]
    if recipe.drop_path is not None and "drop_path_rate" in known:
        backbone["drop_path_rate"] = recipe.drop_path
    if recipe.frozen:
        if "frozen_stages" not in known or "depth" not in known or "num_heads" not in known:
            raise ConfigError(
                f"the recipe {recipe.name!r} trains a head over an encoder that stays as it is, for which"
                f" {backbone['type']} has no setting: it is for vjepa2_*"
            )
        backbone["frozen_stages"] = backbone.get("depth", known["depth"].default)
    if recipe.label_smoothing:
        head["label_smooth_eps"] = 0.0 if multi_label else recipe.label_smoothing
    changed = {**model, "backbone": backbone, "cls_head": head}
    blendings = [
        {"type": kind, "num_classes": num_classes, "alpha": alpha}
        for kind, alpha in (("MixupBlending", recipe.mixup), ("CutmixBlending", recipe.cutmix))
        if alpha is not None
    ]
    if blendings:
        blending = {"type": "RandomBatchAugment", "augments": blendings}
        changed["data_preprocessor"] = {**model["data_preprocessor"], "blending": blending}
    return changed


def _require_kind(recipe: Recipe, backbone: str) -> None:
    """Raise `ConfigError` where a recipe has rates for layers that a backbone does not have."""
    is_transformer = MODELS.get(backbone).__module__.startswith("kinema.models.backbones.tokens.")
    if recipe.layer_decay is not None and not is_transformer:
        what = "learning rates that fall from block to block of a transformer"
    elif recipe.tsm_groups and is_transformer:
        what = "learning rates of convolutions and their norms"
    else:
        return
    raise ConfigError(
        f"the recipe {recipe.name!r} sets {what}, which {backbone} does not have: --recipe auto takes the model's own,"
        " and without a recipe every model trains"
    )


# ---- what it starts from


def log_recipe(recipe: Recipe, classes: Sequence[str], *, starts_fresh: bool, has_weights: bool) -> None:
    """Say what a recipe is and where it is from, and what a user should know of it.

    Args:
        recipe: the recipe.
        classes: names of the classes.
        starts_fresh: the run starts from no weights.
        has_weights: the weights that the recipe starts from have a known address.
    """
    numbers = f"; numbers of {recipe.config}" if recipe.config else ""
    logger.info("recipe %s: %s%s", recipe.name, recipe.source, numbers)
    if recipe.start and starts_fresh:
        logger.warning(
            "the recipe %s starts from %s weights, this run from scratch: %s",
            recipe.name,
            recipe.start,
            "--pretrained recipe downloads them" if has_weights else "name a file of them by --pretrained",
        )
    if recipe.doubt:
        logger.warning("the recipe %s: %s", recipe.name, recipe.doubt)
    if not recipe.mirrored:
        return
    swapped = mirrored_labels(classes)
    if swapped is None:
        logger.warning("no clip is mirrored: a class says a direction, and there is none of the other one")
    elif swapped:
        logger.info("half of the clips are mirrored; %d classes swap their labels then", len(swapped))
    else:
        logger.info("half of the clips are mirrored")


def start_address(model: Mapping[str, Any], recipe: Recipe, card: Card) -> str | None:
    """Where the weights are that a recipe starts from; None: they are not known."""
    backbone = model["backbone"]
    if recipe.start and not recipe.weights and str(backbone.get("type", "")) in _IMAGE_NETWORKS:
        return f"torchvision://resnet{backbone['depth']}"
    return next((url for name, url in recipe.weights.items() if fnmatchcase(card.name, name)), None)


def start_weights(model: dict[str, Any], recipe: Recipe, card: Card) -> tuple[dict[str, Any], str | None]:
    """What a recipe starts from.

    Returns:
        The config of the model, whose backbone names weights where they are those of a network over
        images; and the address of the weights to load otherwise, else None.

    Raises:
        ConfigError: it starts from scratch, or from weights of another network.
    """
    if not recipe.start:
        raise ConfigError(f"the recipe {recipe.name!r} starts from scratch: leave pretrained out, or name weights")
    backbone = dict(model["backbone"])
    address = start_address(model, recipe, card)
    if address is None:
        raise ConfigError(
            f"the recipe {recipe.name!r} starts from {recipe.start} weights, of which there are none for {card.name}:"
            " name weights, or leave pretrained out"
        )
    if address.startswith(_OF_ZOO):
        name = address.removeprefix(_OF_ZOO)
        return model, published_weights(zoo.card(name) if name else card)
    backbone |= {"pretrained": address, **recipe.start_settings}
    if recipe.frozen_norms:
        backbone |= {"norm_eval": True, "bn_frozen": True}
    return {**model, "backbone": backbone}, None


_OF_ZOO = "zoo:"
# Backbones that take ImageNet's weights of a residual network of their depth.
_IMAGE_NETWORKS = ("ResNet", "ResNetTSM", "ResNetTIN", "TANet", "C2D", "ResNet3d", "ResNet3dSlowOnly")
