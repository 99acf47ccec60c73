"""The two linear layers of a transformer block."""

from torch import Tensor, nn

from kinema.models.layers.activations import QuickGELU
from kinema.models.layers.by_name import LayerCfg, build_activation_layer
from kinema.models.layers.gelu_linear import map_twice


class Mlp(nn.Module):
    """Two linear layers with an activation between them, over the last dimension.

    Args:
        in_channels: channels of the input.
        hidden: channels between the layers.
        out_channels: channels of the result; None: those of the input.
        act_cfg: the activation; None: `GELU`.
        drop: dropout behind each layer.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int | None = None,
        act_cfg: LayerCfg | None = None,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_channels, hidden)
        self.act = build_activation_layer(act_cfg or {"type": "GELU"})
        self.fc2 = nn.Linear(hidden, in_channels if out_channels is None else out_channels)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.drop(map_twice(x, self.fc1, self.act, self.drop, self.fc2))
        return out


class ClipMlp(nn.Module):
    """(..., C) -> (..., C): two linear layers under CLIP's names.

    Args:
        channels: C.
        hidden: channels between them.
        dropout: of these.
    """

    def __init__(self, channels: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.c_fc = nn.Linear(channels, hidden)
        self.gelu = QuickGELU()
        self.dropout = nn.Dropout(dropout)
        self.c_proj = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return map_twice(x, self.c_fc, self.gelu, self.dropout, self.c_proj)
