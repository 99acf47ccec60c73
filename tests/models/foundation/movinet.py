"""MoViNet, whole clips and streams."""

from collections.abc import Mapping
from typing import Any

from foundation_fixtures import Built
from torch import Tensor

from kinema.models.backbones.clips.movinet import MoViNet
from kinema.models.heads.movinet import MoViNetHead
from kinema.models.layers.carried_state import CarriedState
from kinema.models.layers.movinet_blocks import HARD_SIGMOID, HARD_SWISH, SIGMOID, SWISH


def build(fixture: Mapping[str, Any]) -> Built:
    """The network with its classifier; a causal one also gives the scores of pieces."""
    config = fixture["config"]
    causal = config.get("causal", "stream" in fixture["family"])
    planar = "2" in config.get("conv", "2plus1d" if causal else "3d").split("d")[0]
    act = {True: HARD_SWISH, False: SWISH}.get("hard" in config["act"]) if "act" in config else None
    gates = {"sigmoid": SIGMOID, "clip(0.2x+0.5)": HARD_SIGMOID, "relu6(x+3)/6": {"type": "HSigmoid"}}
    gate = gates[config["gate"]] if "gate" in config else None
    backbone = MoViNet(
        config["arch"],
        causal=causal,
        planar=planar,
        in_channels=fixture["input_shape"][1],
        act_cfg=act,
        gate_cfg=gate,
        norm_eps=config.get("bn_eps", 1e-3),
    ).eval()
    head = MoViNetHead(
        config["num_classes"], backbone.out_channels, hidden_channels=config.get("head_hidden", 2048), planar=planar
    ).eval()

    def scores_of_pieces(x: Tensor, sizes: list[int]) -> list[Tensor]:
        state = CarriedState()
        return [head(backbone(piece, state), state=state) for piece in x.split(sizes, 2)]

    def compute(x: Tensor) -> dict[str, Tensor]:
        features = backbone(x)
        whole = head(features)
        outputs = {"features": features, "logits": whole, "whole": whole}
        if causal:
            frames = x.shape[2]
            pieces = scores_of_pieces(x, config.get("chunks") or [frames])
            outputs |= {f"after_chunk{number}": scores for number, scores in enumerate(pieces, 1)}
            outputs["frame_by_frame"] = scores_of_pieces(x, [1] * frames)[-1]
        return outputs

    return Built(compute, {**backbone.state_dict(), **head.state_dict()})
