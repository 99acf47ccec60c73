"""Methods of OpenMMLab's parts that their own code calls, and Kinema's parts of that name do not.

A subclass that overrides such a method would run without it and say nothing.
"""

import types
from collections.abc import Iterator

_RESNET = ("_make_stem_layer", "_load_conv_params", "_load_bn_params", "_load_torchvision_checkpoint", "_partial_bn")
_TSM = (*_RESNET, "init_structure", "make_temporal_shift", "make_temporal_pool", "make_non_local", "_get_wrap_prefix")
_INFLATED = (
    *("make_res_layer", "_make_stem_layer", "inflate_weights"),
    *("_inflate_conv_params", "_inflate_bn_params", "_inflate_weights"),
)
_DATASETS = (
    *("get_vid_dets", "_load_metainfo", "_join_prefix"),
    *("_serialize_data", "_get_serialized_subset", "_get_unserialized_subset"),
)

# By the name of the part; the methods of MMAction2 1.2.0, MMEngine 0.10.7 and mmcv 2.2.0.
UNCALLED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("BCELossWithLogits", "CBFocalLoss", "CrossEntropyLoss"), ("_forward",)),
    **dict.fromkeys(("Recognizer2D", "Recognizer3D"), ("_forward",)),
    **dict.fromkeys(("C2D", "ResNet"), _RESNET),
    "ResNetTSM": (*_TSM, "load_original_weights"),
    "ResNetTIN": (*_TSM, "load_original_weights", "make_temporal_interlace"),
    "TANet": (*_RESNET, "make_tam_modeling"),
    "MobileNetV2": ("make_layer",),
    "MobileOneTSM": ("make_temporal_shift", "init_structure", "load_original_weights"),
    "MobileNetV2TSM": ("make_layer", "make_temporal_shift", "init_structure", "load_original_weights"),
    **dict.fromkeys(("ResNet2Plus1d", "ResNet3d", "ResNet3dCSN"), _INFLATED),
    **dict.fromkeys(("ResNet3dPathway", "ResNet3dSlowOnly"), (*_INFLATED, "_calculate_lateral_inplanes")),
    "X3D": ("_round_width", "_round_repeats", "make_res_layer", "_make_stem_layer"),
    "SubBatchNorm3D": ("_get_aggregated_mean_std",),
    "TPNHead": ("_init_new_cls",),
    "RandomBatchAugment": ("do_blending",),
    "ColorJitter": ("check_input", "rgb_to_grayscale", "adjust_contrast", "adjust_saturation", "adjust_hue"),
    "RandomErasing": ("_img_fill_pixels", "_fill_pixels", "random_disable", "random_patch"),
    "DecordInit": ("_get_video_reader",),
    "DecordDecode": ("_decord_load_frames",),
    "PyAVDecode": ("frame_generator",),
    **dict.fromkeys(("RawframeDataset", "RepeatAugDataset", "VideoDataset"), _DATASETS),
    "InfiniteSampler": ("_infinite_indices", "_indices_of_rank"),
    **dict.fromkeys(
        (
            *("DefaultOptimWrapperConstructor", "LearningRateDecayOptimizerConstructor"),
            *("SwinOptimWrapperConstructor", "TSMOptimWrapperConstructor"),
        ),
        ("_is_in",),
    ),
    "CheckpointHook": ("_publish_model", "_save_checkpoint_with_step", "_save_best_checkpoint", "_init_rule"),
    "EMAHook": ("_swap_ema_parameters", "_swap_ema_state_dict", "_ema_started"),
    "EarlyStoppingHook": ("_init_rule", "_check_stop_condition"),
    "LoggerHook": ("_process_tags",),
    "ProfilerHook": ("_export_chrome_trace",),
    "Runner": ("_build_param_scheduler", "_check_scheduler_cfg", "_log_env"),
}
OWN_PACKAGE = "kinema"


def uncalled_override(part: type) -> tuple[str, str] | None:
    """The first method of `part` that overrides what OpenMMLab's part calls and Kinema's does not.

    A method that the subclass calls itself is none.

    Args:
        part: a class.

    Returns:
        Name of Kinema's part and of the method; None: there is none.
    """
    bases = [base for base in part.__mro__ if base.__module__.partition(".")[0] == OWN_PACKAGE]
    further = [base for base in part.__mro__ if base not in bases and base is not object]
    for base in bases:
        for name in UNCALLED.get(base.__name__, ()):
            defined = [own for own in further if name in vars(own) and issubclass(own, base)]
            if defined and not any(name in set(_names_in(own, but=name)) for own in further):
                return base.__name__, name
    return None


def _names_in(part: type, but: str) -> Iterator[str]:
    """Names that the methods of a class use, without those of its method `but`."""
    for key, value in vars(part).items():
        function = getattr(value, "__func__", getattr(value, "fget", value))
        if key != but and isinstance(function, types.FunctionType):
            codes = [function.__code__]
            while codes:
                code = codes.pop()
                yield from code.co_names
                codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
