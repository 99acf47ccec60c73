"""Names that OpenMMLab's configs give Kinema's parts, and those of other projects' parts."""

from collections.abc import Mapping, Sequence
from typing import Any

# Prefixes that all name Kinema's own parts: configs write `mmaction.Resize`, `mmengine.SGD`.
OWN_SCOPES = ("kinema", "mmaction", "mmengine", "mmcv")

# Parts of MMAction2's configs that Kinema does not have yet, by what they are for.
_NOT_YET = {
    "skeletons": (
        "AAGCN DecompressPose FormatGCNInput GCNHead GenSkeFeat GeneratePoseTarget JointToBone MMCompact MMDecode"
        " MMRecognizer3D MMUniformSampleFrames MergeSkeFeat PadTo PoseCompact PoseDataset PoseDecode PreNormalize2D"
        " PreNormalize3D RGBPoseConv3D RGBPoseHead RecognizerGCN STGCN ToMotion"
    ),
    "detection of actions": (
        "ACRNHead AVADataset AVAKineticsDataset AVAMetric AVARoIHead BBoxHeadAVA FBOHead FastRCNN LFBInferHead"
        " MaxIoUAssignerAVA MultiSportsMetric SampleAVAFrames SingleRoIExtractor3D"
    ),
    "localization": (
        "ANetMetric ActivityNetDataset BMN BMNLoss BinaryLogisticRegressionLoss CharadesSTADataset DRN"
        " GenerateLocalizationLabels LoadLocalizationFeature LoadProposals PEM PackLocalizationInputs RecallatTopK"
        " SSNLoss TCANet TEM"
    ),
    "videos with text": (
        "BeitModel3D BertDecoder CLIPSimilarity CLIPTokenize MSRVTTRetrieval MSRVTTVQA MSRVTTVQAMC ReportVQA"
        " RetrievalMetric RetrievalRecall RetrievalTestLoop RetrievalValLoop SimpleMeanAdapter TransformerAdapter"
        " VQAAcc VQAMCACC VideoTextDataset VindLURetrieval VindLURetrievalMC VindLUTokenizer VindLUVQA XBertModel"
    ),
}
NOT_YET = {name: kind for kind, names in _NOT_YET.items() for name in names.split()}

# What to use instead of a name that Kinema does by another way, by the name alone.
INSTEAD = {
    "MMFullyShardedDataParallel": 'use Runner with `strategy="fsdp2"` in its config',
    "FSDPStrategy": 'use Runner with `strategy="fsdp2"` in its config',
    "DDPStrategy": "use Runner with `launcher` in its config",
    "SingleDeviceStrategy": "use Runner",
    "ApexOptimWrapper": "use AmpOptimWrapper, which torch brings",
    "NPUProfilerHook": "use ProfilerHook",
    "ImgAug": "use the transforms of kinema.transforms or TorchVisionWrapper: imgaug does not import with numpy 2",
}

# Parts over images of MMPretrain, once MMClassification, that take the same arguments here, by the kind of
# part: a name in Kinema's registry, or where the part is. Networks have the same names of weights, too.
_IMAGE_TRANSFORMS = "kinema.compat.parts.image_transforms"
_OVER_IMAGES = {
    "model": {"MobileNetV2": "MobileNetV2", "MobileOne": "MobileOne"},
    "dataset": {"ImageNet": "kinema.compat.parts.image_datasets.ImageNet"},
    "transform": {
        "PackClsInputs": f"{_IMAGE_TRANSFORMS}.classification.PackClsInputs",
        "PackInputs": f"{_IMAGE_TRANSFORMS}.classification.PackInputs",
        "RandomFlip": f"{_IMAGE_TRANSFORMS}.random_geometry.RandomFlip",
        "RandomResizedCrop": f"{_IMAGE_TRANSFORMS}.classification.RandomResizedCrop",
    },
}
_OF_IMAGES = ("mmpretrain", "mmcls")


def not_yet(keys: Sequence[str]) -> str:
    """What a message says of parts of MMAction2 that Kinema does not have yet.

    Args:
        keys: names of `NOT_YET`, at least one, with or without a prefix.
    """
    kinds = ", ".join(dict.fromkeys(NOT_YET[key.rpartition(".")[2]] for key in keys))
    verb = "is" if len(keys) == 1 else "are"
    return f"{', '.join(keys)} of MMAction2 {verb} not in Kinema yet ({kinds}): docs/compat.md says what there is"


def same_part(kind: str, key: str) -> str | None:
    """The name, or the dotted path, of the part of Kinema that a part of another project is.

    Args:
        kind: what it is, by the name of its registry.
        key: the part with the prefix of its project, such as `mmcls.ImageNet`.

    Returns:
        None where there is none.
    """
    project, _, name = key.partition(".")
    return _OVER_IMAGES.get(kind, {}).get(name) if project in _OF_IMAGES else None


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
        kind: what it is, by the name of its registry.
    """
    title = OTHER_PROJECTS[project]
    own = _OVER_IMAGES.get(kind, {}) if project in _OF_IMAGES else {}
    if not own:
        return f"{title} is not a part of Kinema: use one of Kinema's own parts, or register {name!r} yourself"
    if kind != "model":
        return f"of {title} Kinema has {', '.join(own)}: use one of these, or register {name!r} yourself"
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
