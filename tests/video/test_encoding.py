"""What an encoder is asked for."""

import numpy as np
import pytest

from kinema.video import encoding
from kinema.video.encoding import encoder_options, rate_options


def test_quality_is_one_scale_for_all_encoders() -> None:
    assert [rate_options("libx264", quality) for quality in (0, 75, 100)] == [
        {"crf": crf} for crf in ("44", "23", "16")
    ]
    assert [rate_options("libvpx-vp9", quality)["crf"] for quality in (0, 75, 100)] == ["63", "29", "18"]
    assert [rate_options("mpeg4", quality)["qmax"] for quality in (0, 75, 100)] == ["31", "4", "2"]
    assert rate_options("ffv1", 75) == {}


@pytest.mark.parametrize(
    ("extensions", "parameters"),
    [
        (["X86_V3", "X86_V4"], "asm=AVX2:keyint=5"),
        (["AVX2", "AVX512F"], "asm=AVX2:keyint=5"),
        (["AVX2", "FMA3"], "keyint=5"),
        (["ASIMDHP"], "keyint=5"),
    ],
)
def test_x264_leaves_out_avx512_that_now_and_then_gives_another_file(
    extensions: list[str], parameters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "show_config", lambda mode: {"SIMD Extensions": {"found": extensions}})
    encoding._has_avx512.cache_clear()
    try:
        assert encoder_options("libx264", 100, {"x264-params": "keyint=5"}) == {"crf": "16", "x264-params": parameters}
        assert encoder_options("libx265", 100, {}) == {"crf": "18"}
    finally:
        encoding._has_avx512.cache_clear()
