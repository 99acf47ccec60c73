"""The published training recipe of each family, as facts; `kinema.recipes.training` makes configs of them.

The numbers are those of the OpenMMLab config that each row names, except where `config` is empty:
there they are the paper's, or Kinema's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal

from kinema.errors import ConfigError
from kinema.spelling import suggestion

Augmentation = Literal["crop", "multi-scale", "multi-scale 13", "two scales", "resized crop", "jittered", "rescaled"]

_IG65M = "https://download.openmmlab.com/mmaction/recognition/csn"
_SPORTS = "https://download.openmmlab.com/mmaction/recognition/c3d/c3d_sports1m_pretrain_20201016-dcc47ddc.pth"


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
        augmentation: how crops are cut, see `kinema.recipes.training.AUGMENTATIONS`.
        mirrored: half of the clips are mirrored.
        dense: frames come from a stretch of 64 frames instead of the whole video.
        fits_clips: distance of frames and shape of the picture follow the clips at hand, as without
            a recipe; else they are as published.
        start: data set of the weights that the training starts from; empty: from scratch.
        weights: their addresses by model, with wildcards; ImageNet's are found by the network.
        frozen_norms: the norms of these weights stay as they are.
    """

    name: str
    models: tuple[str, ...]
    source: str
    config: str = ""
    lr: float
    batch: int
    epochs: int | None
    drops: tuple[int, ...] = ()
    warmup: int = 0
    warmup_start: float = 0.1
    warmup_overlaps: bool = False
    optimizer: str = "SGD"
    nesterov: bool = False
    weight_decay: float = 1e-4
    clip: float | None = 40
    tsm_groups: bool = False
    fast_classifier: bool = True
    augmentation: Augmentation
    mirrored: bool = True
    dense: bool = False
    fits_clips: bool = False
    start: str = ""
    weights: Mapping[str, str] = field(default_factory=dict)
    frozen_norms: bool = False


_TSM = Recipe(
    name="tsm",
    models=("tsm_r50", "tsm_r50_16f", "tsm_r50_nl_*"),
    source="TSM, Lin et al. 2019, arXiv:1811.08383",
    config="tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb",
    lr=0.02,
    batch=128,
    epochs=50,
    drops=(25, 45),
    warmup=5,
    clip=20,
    tsm_groups=True,
    augmentation="multi-scale 13",
    start="ImageNet",
)
_TANET = Recipe(
    name="tanet",
    models=("tanet_r50",),
    source="TAM, Liu et al. 2021, arXiv:2005.06803",
    config="tanet_imagenet-pretrained-r50_8xb8-dense-1x1x8-100e_kinetics400-rgb",
    lr=0.01,
    batch=64,
    epochs=100,
    drops=(50, 75, 90),
    clip=20,
    tsm_groups=True,
    augmentation="multi-scale 13",
    dense=True,
    start="ImageNet",
)
_TPN = Recipe(
    name="tpn-slowonly",
    models=("tpn_slowonly_r50",),
    source="TPN, Yang et al. 2020, arXiv:2004.03548",
    config="tpn-slowonly_imagenet-pretrained-r50_8xb8-8x8x1-150e_kinetics400-rgb",
    lr=0.01,
    batch=64,
    epochs=150,
    drops=(75, 125),
    nesterov=True,
    augmentation="jittered",
    start="ImageNet",
)
_SLOWONLY = Recipe(
    name="slowonly",
    models=("slowonly_r50", "slowonly_r50_8x8"),
    source="SlowFast, Feichtenhofer et al. 2019, arXiv:1812.03982",
    config="slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb",
    lr=0.2,
    batch=128,
    epochs=256,
    warmup=34,
    augmentation="resized crop",
)
_SLOWFAST = Recipe(
    name="slowfast",
    models=("slowfast_r50", "slowfast_*"),
    source="SlowFast, Feichtenhofer et al. 2019, arXiv:1812.03982",
    config="slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb",
    lr=0.1,
    batch=64,
    epochs=256,
    warmup=34,
    warmup_overlaps=True,
    augmentation="resized crop",
)
_RECIPES = (
    Recipe(
        name="compact3d",
        models=("compact3d",),
        source="Kinema's own, for small sets of short clips",
        optimizer="AdamW",
        lr=8e-3,
        batch=16,
        epochs=None,
        warmup=1,
        warmup_start=0.05,
        weight_decay=0.02,
        clip=None,
        augmentation="crop",
        mirrored=False,
        fits_clips=True,
    ),
    Recipe(
        name="tsn",
        models=("tsn_r50", "tsn_r18", "tsn_r101"),
        source="TSN, Wang et al. 2016, arXiv:1608.00859, section 3.2",
        config="tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb",
        lr=0.01,
        batch=256,
        epochs=100,
        drops=(40, 80),
        augmentation="multi-scale",
        start="ImageNet",
    ),
    _TSM,
    replace(
        _TSM,
        name="tsm-something",
        models=("tsm_r50_sthv2", "tsm_r50_16f_sthv2", "tsm_r101"),
        config="tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv2-rgb",
        weight_decay=5e-4,
    ),
    replace(
        _TSM,
        name="tsm-mobilenet",
        models=("tsm_mobilenetv2",),
        config="tsm_imagenet-pretrained-mobilenetv2_8xb16-1x1x8-100e_kinetics400-rgb",
        epochs=100,
        drops=(40, 80),
        warmup=0,
        weight_decay=2e-5,
        weights={"*": "mmcls://mobilenet_v2"},
    ),
    replace(
        _TSM,
        name="tsm-mobileone",
        models=("tsm_mobileone_s4",),
        config="tsm_imagenet-pretrained-mobileone-s4_8xb16-1x1x16-50e_kinetics400-rgb",
        weight_decay=2e-5,
        weights={
            "*": "https://download.openmmlab.com/mmclassification/v0/mobileone/mobileone-s4_8xb32_in1k_20221110-28d888cb.pth"
        },
    ),
    Recipe(
        name="tin",
        models=("tin_r50",),
        source="TIN, Shao et al. 2020, arXiv:2001.06499",
        config="tin_kinetics400-pretrained-tsm-r50_1x1x8-50e_kinetics400-rgb",
        lr=0.01,
        batch=48,
        epochs=50,
        drops=(20, 40),
        tsm_groups=True,
        augmentation="multi-scale",
        start="ImageNet",
    ),
    _TANET,
    replace(
        _TANET,
        name="tanet-something",
        models=("tanet_r50_16f",),
        config="tanet_imagenet-pretrained-r50_8xb6-1x1x16-50e_sthv1-rgb",
        lr=0.0075,
        batch=48,
        epochs=50,
        drops=(30, 40, 45),
        weight_decay=1e-3,
        dense=False,
    ),
    Recipe(
        name="trn",
        models=("trn_r50",),
        source="TRN, Zhou et al. 2018, arXiv:1711.08496",
        config="trn_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv2-rgb",
        lr=0.002,
        batch=128,
        epochs=50,
        drops=(30, 45),
        weight_decay=5e-4,
        clip=20,
        tsm_groups=True,
        fast_classifier=False,
        augmentation="multi-scale 13",
        start="ImageNet",
    ),
    replace(
        _TPN,
        name="tpn-tsm",
        models=("tpn_tsm_r50",),
        config="tpn-tsm_imagenet-pretrained-r50_8xb8-1x1x8-150e_sthv1-rgb",
        weight_decay=5e-4,
        clip=20,
    ),
    _TPN,
    Recipe(
        name="c2d",
        models=("c2d_r50", "c2d_*"),
        source="Non-local Neural Networks, Wang et al. 2018, arXiv:1711.07971, section 4.1",
        config="c2d_r50-in1k-pre_8xb32-8x8x1-100e_kinetics400-rgb",
        lr=0.01,
        batch=256,
        epochs=100,
        drops=(40, 80),
        augmentation="multi-scale",
        start="ImageNet",
    ),
    Recipe(
        name="c3d",
        models=("c3d",),
        source="C3D, Tran et al. 2015, arXiv:1412.0767",
        config="c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb",
        lr=0.001,
        batch=240,
        epochs=45,
        drops=(20, 40),
        weight_decay=5e-4,
        augmentation="crop",
        start="Sports-1M",
        weights={"*": _SPORTS},
    ),
    Recipe(
        name="i3d",
        models=("i3d_r50", "i3d_*"),
        source="I3D, Carreira and Zisserman 2017, arXiv:1705.07750",
        config="i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e_kinetics400-rgb",
        lr=0.01,
        batch=64,
        epochs=100,
        drops=(40, 80),
        augmentation="two scales",
        start="ImageNet",
    ),
    _SLOWONLY,
    replace(
        _SLOWONLY,
        name="slowonly-r101",
        models=("slowonly_r101",),
        config="slowonly_r101_8xb16-8x8x1-196e_kinetics400-rgb",
        epochs=196,
    ),
    replace(
        _SLOWONLY,
        name="slowonly-imagenet",
        models=("slowonly_r50",),
        config="slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb",
        lr=0.02,
        epochs=150,
        drops=(90, 130),
        warmup=10,
        start="ImageNet",
    ),
    replace(
        _SLOWONLY,
        name="slowonly-nonlocal",
        models=("slowonly_r50_nl", "slowonly_r50_8x8_nl"),
        config="slowonly_r50-in1k-pre-nl-embedded-gaussian_8xb16-4x16x1-steplr-150e_kinetics400-rgb",
        lr=0.01,
        epochs=256,
        drops=(90, 130),
        warmup=10,
        start="ImageNet",
    ),
    _SLOWFAST,
    Recipe(
        name="r2plus1d",
        models=("r2plus1d_r34", "r2plus1d_*"),
        source="R(2+1)D, Tran et al. 2018, arXiv:1711.11248",
        config="r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb",
        lr=0.01,
        batch=64,
        epochs=180,
        augmentation="resized crop",
    ),
    Recipe(
        name="csn",
        models=("ircsn_r50", "ircsn_r152", "ipcsn_r152"),
        source="CSN, Tran et al. 2019, arXiv:1904.02811",
        config="ircsn_ig65m-pretrained-r50-bnfrozen_8xb12-32x2x1-58e_kinetics400-rgb",
        lr=5e-4,
        batch=96,
        epochs=58,
        drops=(32, 48),
        warmup=16,
        augmentation="resized crop",
        start="IG-65M",
        weights={
            "ircsn_r50": f"{_IG65M}/ircsn_from_scratch_r50_ig65m_20210617-ce545a37.pth",
            "ircsn_r152": f"{_IG65M}/ircsn_from_scratch_r152_ig65m_20200807-771c4135.pth",
            "ipcsn_r152": f"{_IG65M}/ipcsn_from_scratch_r152_ig65m_20210617-c4b99d38.pth",
        },
        frozen_norms=True,
    ),
    # OpenMMLab never trained it. The paper follows SlowFast: 1.6 for 1024 clips a step.
    replace(
        _SLOWFAST,
        name="x3d",
        models=("x3d_s", "x3d_*"),
        source="X3D, Feichtenhofer 2020, arXiv:2004.04730",
        config="",
        lr=1.6,
        batch=1024,
        weight_decay=5e-5,
        clip=None,
        augmentation="rescaled",
    ),
)
RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in _RECIPES}


def find_recipe(name: str, model: str) -> Recipe:
    """The recipe of a name; "auto": the one that belongs to a model of the zoo.

    Raises:
        ConfigError: there is no such recipe, or none belongs to the model.
    """
    if name != "auto":
        return named_recipe(name)
    for recipe in RECIPES.values():
        if any(fnmatchcase(model, pattern) for pattern in recipe.models):
            return recipe
    raise ConfigError(
        f"no published recipe belongs to the model {model!r}: leave the recipe out, or name one; `kinema recipes` lists"
        " them"
    )


def model_of_recipe(name: str) -> str | None:
    """The model that a recipe trains when none is named; None for "auto", which has none of its own.

    Raises:
        ConfigError: there is no such recipe.
    """
    return None if name == "auto" else named_recipe(name).models[0]


def _names_instead(name: str) -> str:
    return suggestion(name, ["auto", *RECIPES], "`kinema recipes` lists all", by_family=True)


def named_recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in RECIPES:
        raise ConfigError(f"no recipe is called {name!r}: {_names_instead(name)}")
    return RECIPES[name]
