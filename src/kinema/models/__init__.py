"""Models: batch -> loss or scores."""

from kinema.checkpoints import Checkpoint, LoadReport, load_checkpoint, read_checkpoint, save_pretrained
from kinema.models.backbones import (
    C2D,
    C3D,
    X3D,
    CompactNet3D,
    MobileNetV2,
    MobileNetV2TSM,
    ResNet,
    ResNet2Plus1d,
    ResNet3d,
    ResNet3dCSN,
    ResNet3dPathway,
    ResNet3dSlowFast,
    ResNet3dSlowOnly,
    ResNetTIN,
    ResNetTSM,
    TANet,
)
from kinema.models.base import BaseModel, BaseModule
from kinema.models.complexity import count_operations
from kinema.models.heads import (
    AvgConsensus,
    BaseHead,
    I3DHead,
    SlowFastHead,
    TPNHead,
    TRNHead,
    TSMHead,
    TSNHead,
    X3DHead,
)
from kinema.models.layers import ConvModule
from kinema.models.losses import (
    AsymmetricLoss,
    BCELossWithLogits,
    CBFocalLoss,
    CrossEntropyLoss,
    FocalLoss,
    LogitAdjustedLoss,
)
from kinema.models.mixing import CutmixBlending, MixupBlending, RandomBatchAugment
from kinema.models.necks import TPN
from kinema.models.preprocessors import ActionDataPreprocessor, BaseDataPreprocessor, stack_batch
from kinema.models.recognition import BaseRecognizer, Recognizer2D, Recognizer3D
from kinema.models.tta import BaseTTAModel, MeanScoreTTA
from kinema.models.zoo import create_model
from kinema.models.zoo import names as list_models

__all__ = [
    "C2D",
    "C3D",
    "TPN",
    "X3D",
    "ActionDataPreprocessor",
    "AsymmetricLoss",
    "AvgConsensus",
    "BCELossWithLogits",
    "BaseDataPreprocessor",
    "BaseHead",
    "BaseModel",
    "BaseModule",
    "BaseRecognizer",
    "BaseTTAModel",
    "CBFocalLoss",
    "Checkpoint",
    "CompactNet3D",
    "ConvModule",
    "CrossEntropyLoss",
    "CutmixBlending",
    "FocalLoss",
    "I3DHead",
    "LoadReport",
    "LogitAdjustedLoss",
    "MeanScoreTTA",
    "MixupBlending",
    "MobileNetV2",
    "MobileNetV2TSM",
    "RandomBatchAugment",
    "Recognizer2D",
    "Recognizer3D",
    "ResNet",
    "ResNet2Plus1d",
    "ResNet3d",
    "ResNet3dCSN",
    "ResNet3dPathway",
    "ResNet3dSlowFast",
    "ResNet3dSlowOnly",
    "ResNetTIN",
    "ResNetTSM",
    "SlowFastHead",
    "TANet",
    "TPNHead",
    "TRNHead",
    "TSMHead",
    "TSNHead",
    "X3DHead",
    "count_operations",
    "create_model",
    "list_models",
    "load_checkpoint",
    "read_checkpoint",
    "save_pretrained",
    "stack_batch",
]
