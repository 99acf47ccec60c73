"""`GradCAM` of MMAction2: maps of a layer laid over the frames of a batch."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models import Recognizer2D
from kinema.models.evaluating import evaluating
from kinema.report.explanation.gradcam import GradCam, Layer, run_from_layer


class GradCAM:
    """Explain the scores of a recognizer by the maps of a layer, see `kinema.report.explanation.GradCam`.

    Args:
        model: a recognizer with `backbone`, `cls_head` and `data_preprocessor`.
        target_layer_name: path of the layer, as in `backbone/layer4/1/relu` or
            `backbone.layer4.1.relu`.
        colormap: matplotlib's name of the colours.

    Raises:
        ConfigError: there is no such layer.
        ValueError: there is no such colormap.
    """

    def __init__(self, model: nn.Module, target_layer_name: str, colormap: str = "viridis") -> None:
        self._layer = target_layer_name.replace("/", ".")
        GradCam(model, self._layer)  # checks the model and the name
        if colormap not in matplotlib.colormaps:
            raise ValueError(f"there is no colormap {colormap!r}: matplotlib.colormaps lists names")
        self.model: Any = model
        self.is_recognizer2d = isinstance(model, Recognizer2D)
        self.colormap = matplotlib.colormaps[colormap]
        self.target_gradients: Tensor | None = None
        self.target_activations: Tensor | None = None

    def __call__(self, data: Mapping[str, Any], use_labels: bool = False, alpha: float = 0.5) -> tuple[Tensor, Tensor]:
        """Explain a batch.

        Args:
            data: `inputs` and `data_samples`, as a data loader gives them.
            use_labels: explain the scores of the labels; False: the highest scores.
            alpha: share of the colours in the pictures, 0 to 1.

        Returns:
            The pictures, float64 RGB from 0 to 1, (B, T, H, W, 3) of single frames or (B * V, T, H,
            W, 3) of clips; and the scores (B, N) before any softmax.

        Raises:
            ConfigError: the layer gives no maps over height and width, runs more than once, or the
                scores do not depend on it.
        """
        maps, scores = self._calculate_localization_map(data, use_labels)
        return self._alpha_blending(maps, _frames_of(data, self.is_recognizer2d), alpha), scores

    def _calculate_localization_map(
        self, data: Mapping[str, Any], use_labels: bool, delta: float = 1e-20
    ) -> tuple[Tensor, Tensor]:
        """Maps (B, T, H, W) or (B * V, T, H, W) from 0 to 1, and scores (B, N)."""
        batch = self.model.data_preprocessor(data, False)
        inputs = batch["inputs"]
        with evaluating(self.model), torch.inference_mode(False):
            run = run_from_layer(self.model, inputs, Layer(self._layer))
        run.check(self.model, self._layer)
        scores = torch.cat(run.scores).unflatten(0, (len(inputs), -1)).mean(dim=1)
        if use_labels:
            chosen = torch.stack([sample.gt_label.reshape(-1)[0] for sample in batch["data_samples"]]).to(scores.device)
        else:
            chosen = scores.argmax(dim=1)
        values = [value for _, value in run.maps]
        total = scores.gather(1, chosen[:, None]).sum()
        gradients = torch.autograd.grad(total, values, allow_unused=True) if total.requires_grad else (None,)
        if any(gradient is None for gradient in gradients):
            raise ConfigError(f"the scores do not depend on the layer {self._layer!r}: name one that leads to the head")
        self.target_activations = torch.cat(values).detach()
        self.target_gradients = torch.cat([gradient for gradient in gradients if gradient is not None])
        # Unlike in Kinema's own, each time of a clip has weights of its own.
        weights = self.target_gradients.float().mean(dim=(-2, -1), keepdim=True)
        maps = F.relu((weights * self.target_activations.float()).sum(dim=1))  # (R, [T',] H', W')
        if self.is_recognizer2d:  # a row is a frame
            maps = F.interpolate(maps[:, None], size=inputs.shape[-2:], mode="bilinear", align_corners=False)
            maps = maps.reshape(len(inputs), -1, *maps.shape[-2:])
        else:
            size = (inputs.shape[-3], *inputs.shape[-2:])
            maps = F.interpolate(maps[:, None], size=size, mode="trilinear", align_corners=False)[:, 0]
        least, most = maps.amin(dim=(1, 2, 3), keepdim=True), maps.amax(dim=(1, 2, 3), keepdim=True)
        return (maps - least) / (most - least + delta), scores.detach()

    def _alpha_blending(self, localization_map: Tensor, input_imgs: Tensor, alpha: float) -> Tensor:
        """Maps (R, T, H, W) from 0 to 1 and frames (R, T, H, W, 3) from 0 to 1 -> both in one picture."""
        colours = torch.from_numpy(self.colormap(localization_map.cpu().numpy())[..., :3])
        return alpha * colours + (1 - alpha) * input_imgs.cpu()


def _frames_of(data: Mapping[str, Any], is_recognizer2d: bool) -> Tensor:
    """Frames of a batch as the pipeline gave them: (R, T, H, W, 3) float64 from 0 to 1."""
    inputs = data["inputs"]
    frames = inputs if isinstance(inputs, Tensor) else torch.stack(list(inputs))
    if is_recognizer2d:  # (B, T, C, H, W)
        return frames.movedim(2, -1).double() / 255
    return frames.flatten(0, 1).movedim(1, -1).double() / 255  # (B, V, C, T, H, W)
