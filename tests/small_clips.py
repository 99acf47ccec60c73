"""A pipeline of few and small frames, for recognizers of which the scores matter and the accuracy does not."""

from typing import Any


def pipeline_of_small_clips(**sampling: Any) -> list[dict[str, Any]]:
    """From a file to clips of 4 frames, 2 apart, 32 x 32 pixels; `sampling` is for `SampleFrames`."""
    return [
        dict(type="OpenVideo"),
        dict(type="SampleFrames", clip_len=4, frame_interval=2, test_mode=True, **sampling),
        dict(type="DecodeVideo"),
        dict(type="Resize", scale=(-1, 36)),
        dict(type="CenterCrop", crop_size=32),
        dict(type="FormatShape", input_format="NCTHW"),
        dict(type="PackActionInputs"),
    ]
