"""Models: batch -> loss or scores."""

from kinema.models.backbones import CompactNet3D, ResNet, ResNet3d
from kinema.models.base import BaseModel, BaseModule, ModuleDict, ModuleList, Sequential
from kinema.models.checkpoint import LoadReport, load_checkpoint, load_state, read_state, save_pretrained
from kinema.models.heads import AvgConsensus, BaseHead, I3DHead, TSMHead, TSNHead
from kinema.models.init import (
    BaseInit,
    Caffe2XavierInit,
    ConstantInit,
    KaimingInit,
    NormalInit,
    PretrainedInit,
    TruncNormalInit,
    UniformInit,
    XavierInit,
    bias_init_with_prob,
    caffe2_xavier_init,
    constant_init,
    initialize,
    kaiming_init,
    normal_init,
    trunc_normal_init,
    uniform_init,
    xavier_init,
)
from kinema.models.layers import ConvModule, build_activation_layer, build_conv_layer, build_norm_layer
from kinema.models.losses import BCELossWithLogits, CrossEntropyLoss
from kinema.models.mixing import CutmixBlending, MixupBlending, RandomBatchAugment
from kinema.models.preprocessors import ActionDataPreprocessor, BaseDataPreprocessor, stack_batch
from kinema.models.recognizers import BaseRecognizer, Recognizer2D, Recognizer3D
from kinema.models.zoo import create_model
from kinema.models.zoo import names as list_models

__all__ = [
    "ActionDataPreprocessor",
    "AvgConsensus",
    "BCELossWithLogits",
    "BaseDataPreprocessor",
    "BaseHead",
    "BaseInit",
    "BaseModel",
    "BaseModule",
    "BaseRecognizer",
    "Caffe2XavierInit",
    "CompactNet3D",
    "ConstantInit",
    "ConvModule",
    "CrossEntropyLoss",
    "CutmixBlending",
    "I3DHead",
    "KaimingInit",
    "LoadReport",
    "MixupBlending",
    "ModuleDict",
    "ModuleList",
    "NormalInit",
    "PretrainedInit",
    "RandomBatchAugment",
    "Recognizer2D",
    "Recognizer3D",
    "ResNet",
    "ResNet3d",
    "Sequential",
    "TSMHead",
    "TSNHead",
    "TruncNormalInit",
    "UniformInit",
    "XavierInit",
    "bias_init_with_prob",
    "build_activation_layer",
    "build_conv_layer",
    "build_norm_layer",
    "caffe2_xavier_init",
    "constant_init",
    "create_model",
    "initialize",
    "kaiming_init",
    "list_models",
    "load_checkpoint",
    "load_state",
    "normal_init",
    "read_state",
    "save_pretrained",
    "stack_batch",
    "trunc_normal_init",
    "uniform_init",
    "xavier_init",
]
