"""What a network says about input that it cannot take."""

from torch import Tensor

from kinema.errors import ConfigError


def sizes(x: Tensor) -> tuple[int, ...]:
    """The shape as numbers, also where a trace gives tensors."""
    return tuple(map(int, x.shape))


def check_clips(x: Tensor, in_channels: int, backbone: str) -> None:
    """Check that `x` is (B, `in_channels`, T, H, W).

    Raises:
        ValueError: `x` has another number of dimensions.
        ConfigError: it has other channels than the backbone was built for, or is empty.
    """
    if x.dim() != 5:
        raise ValueError(
            f"{backbone} takes clips of shape (batch, channels, frames, height, width), got {sizes(x)}: in a"
            " model it needs Recognizer3D, and input_format='NCTHW' in FormatShape"
        )
    if x.shape[1] != in_channels and x.shape[2] == in_channels:
        raise ConfigError(
            f"{backbone} takes clips of shape (batch, channels, frames, height, width), got {sizes(x)}, whose"
            f" frames seem to come before their {in_channels} channels: set input_format='NCTHW' in FormatShape"
        )
    if x.shape[1] != in_channels:
        raise ConfigError(
            f"the clips have {x.shape[1]} channels, but {backbone} was built with in_channels={in_channels}: set "
            f"in_channels={x.shape[1]} in backbone"
        )
    if 0 in x.shape[2:]:
        raise ConfigError(
            f"the clips for {backbone} are empty: they have {x.shape[2]} frames of {x.shape[3]} x {x.shape[4]} pixels"
        )


def check_frames(x: Tensor, in_channels: int, backbone: str) -> None:
    """Check that `x` is (B, `in_channels`, H, W).

    Raises:
        ValueError: `x` has another number of dimensions.
        ConfigError: it has other channels than the backbone was built for.
    """
    if x.dim() != 4:
        raise ValueError(
            f"{backbone} takes frames of shape (batch, channels, height, width), got {sizes(x)}: in a model it"
            " needs Recognizer2D, and input_format='NCHW' in FormatShape"
        )
    if x.shape[1] != in_channels:
        raise ConfigError(
            f"the frames have {x.shape[1]} channels, but {backbone} was built with in_channels={in_channels}: set "
            f"in_channels={x.shape[1]} in backbone"
        )
