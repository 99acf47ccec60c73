"""A recognizer of sound."""

from torch import Tensor

from kinema.models.layers.inputs import sizes
from kinema.models.recognition import BaseRecognizer, Folded
from kinema.registry import MODELS


@MODELS.register_module()
class RecognizerAudio(BaseRecognizer):
    """Recognizer of spectrograms (B, V, C, T, F); the V clips of a sample go through it like samples.

    Arguments as in `BaseRecognizer`. The backbone takes (B * V, C, T, F), as `ResNetAudio` and, with
    `in_channels=1`, `ResNet` do.
    """

    takes_clips = False

    def fold(self, inputs: Tensor) -> Folded:
        """(B, V, C, T, F) -> (B * V, C, T, F)."""
        if inputs.dim() != 5:
            raise ValueError(
                "RecognizerAudio takes sound of shape (batch, clips, channels, time, frequency), got"
                f" {sizes(inputs)}: set input_format='NCTF' in FormatAudioShape"
            )
        return Folded(inputs.flatten(0, 1))
