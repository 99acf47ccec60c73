"""What an encoder is asked for: its options for a quality, and for the same file from the same frames."""

import functools
from collections.abc import Mapping

import numpy as np

# Constant rate factors at quality 0 and 100, chosen so that one quality looks alike with all.
_CRF = {"libx264": (44, 16), "libx264rgb": (44, 16), "libx265": (46, 18), "libvpx-vp9": (63, 18)}
_QUANTIZERS = (31, 2)  # at quality 0 and 100, of the encoders below
_QUANTIZED = ("mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "msmpeg4", "libxvid", "flv", "h263")
_COLOURS = (16, 256)  # of a GIF, at quality 0 and from the default quality on
_RATE_OPTIONS = {"crf", "qp", "b", "q", "qscale", "global_quality", "qmin", "qmax", "lossless"}
DEFAULT_QUALITY = 75
# Without a limit VP9's own default bit rate caps the quality; its slowest pace takes seconds a
# frame.
_NEEDED_OPTIONS = {"libvpx-vp9": {"b": "0", "deadline": "good", "cpu-used": "4"}}
_X264 = ("libx264", "libx264rgb")


def encoder_options(codec: str, quality: int, options: Mapping[str, str]) -> dict[str, str]:
    """All options of encoder `codec`: those for a quality from 0 to 100 where `options` set no rate, and `options`."""
    chosen = {**_NEEDED_OPTIONS.get(codec, {}), **options}
    if not _RATE_OPTIONS & set(options):
        chosen |= rate_options(codec, quality)
    if codec in _X264 and (parameters := x264_parameters(options.get("x264-params", ""))):
        chosen["x264-params"] = parameters
    return chosen


def x264_parameters(parameters: str) -> str:
    """x264's own parameters, "key=value:...", with what the same file from the same frames needs before them.

    x264 (165) reckons how often a block is referred to ("mbtree") by a routine for AVX-512 that now
    and then gives other values on a busy machine: about 1 of 500 files of 12 frames was another
    one, none without these instructions.
    """
    return ":".join(filter(None, ("asm=AVX2" if _has_avx512() else "", parameters)))


@functools.cache
def _has_avx512() -> bool:
    extensions = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    return any(name == "X86_V4" or name.startswith("AVX512") for name in extensions)


def rate_options(codec: str, quality: int) -> dict[str, str]:
    """The options of encoder `codec` for a quality from 0 to 100; none for encoders without such a scale."""
    if codec in _CRF:
        worst, best = _CRF[codec]
        return {"crf": str(round(worst + (best - worst) * quality / 100))}
    if codec in _QUANTIZED:
        # The quantizer is a step, whose size a constant rate factor counts in logarithms.
        quantizer = str(round(_geometric(*_QUANTIZERS, quality / 100)))
        return {"qmin": quantizer, "qmax": quantizer}
    return {}


def gif_colours(quality: int) -> int:
    """Colours of a GIF for a quality from 0 to 100."""
    return round(_geometric(*_COLOURS, min(quality / DEFAULT_QUALITY, 1.0)))


def _geometric(start: float, end: float, share: float) -> float:
    """The value `share` of the way from `start` to `end` in equal ratios."""
    return float(start * (end / start) ** share)
