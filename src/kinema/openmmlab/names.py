"""Names that OpenMMLab's configs give Kinema's parts, and those of other projects' parts."""

from collections.abc import Mapping
from typing import Any

# Prefixes that all name Kinema's own parts: configs write `mmaction.Resize`, `mmengine.SGD`.
OWN_SCOPES = ("kinema", "mmaction", "mmengine", "mmcv")

# Networks of MMAction2's configs, over skeletons and sound, that Kinema does not have yet.
NOT_YET = ("AAGCN", "ResNetAudio", "RGBPoseConv3D", "STGCN")

# Networks over images of MMPretrain, once MMClassification, that take the same arguments here and have
# the same names of weights.
SAME_NETWORKS = {f"{scope}.{name}": name for scope in ("mmpretrain", "mmcls") for name in ("MobileNetV2", "MobileOne")}

# Projects beside MMAction2 whose parts configs name by a prefix.
OTHER_PROJECTS = {
    "mmdet": "MMDetection",
    "mmpose": "MMPose",
    "mmseg": "MMSegmentation",
    "mmpretrain": "MMPretrain",
    "mmcls": "MMClassification",
    "mmtrack": "MMTracking",
    "mmdet3d": "MMDetection3D",
}

# OpenMMLab has a class for each library that decodes; each does what the part of Kinema does.
ALIASES = {
    "OpenVideo": ("DecordInit", "PyAVInit", "OpenCVInit", "PIMSInit"),
    "DecodeVideo": ("DecordDecode", "OpenCVDecode", "PyAVDecode", "PIMSDecode"),
}


def instead_of(project: str, name: str, settings: Mapping[str, Any], kind: str = "model") -> str:
    """What a message says of a part of another project: what to use in its place.

    Args:
        project: a key of `OTHER_PROJECTS`, the prefix of the part.
        name: of the part there.
        settings: what a config gives it.
        kind: what it is, by the name of its registry; only of models are there some in its place.
    """
    title = OTHER_PROJECTS[project]
    own = [kind.partition(".")[2] for kind in SAME_NETWORKS if kind.startswith(f"{project}.")]
    if not own or kind != "model":
        return f"{title} is not a part of Kinema: use one of Kinema's own parts, or register {name!r} yourself"
    if name not in ("ResNet", "ResNeXt") or "depth" not in settings:
        return (
            f"of {title} Kinema has {' and '.join(own)}; for other networks over images use those of timm or"
            " torchvision, such as dict(type='timm.resnet50')"
        )
    network = f"{name.lower()}{settings['depth']}"
    if name == "ResNeXt":
        network += f"_{settings.get('groups', 32)}x{settings.get('width_per_group', 4)}d"
    return (
        f"timm has the same network with the same names of weights: write dict(type='timm.{network}',"
        " pretrained=True), without init_cfg and other keys, and install it by pip install timm"
    )
