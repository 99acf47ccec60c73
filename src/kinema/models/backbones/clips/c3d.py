"""C3D: eight convolutions of 3 x 3 x 3 and two fully connected layers.

Source: Learning Spatiotemporal Features with 3D Convolutional Networks, Tran et al. 2015,
arXiv:1412.0767, figure 3.
"""

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.init import InitCfg
from kinema.models.layers import ConvModule, LayerCfg
from kinema.models.layers.inputs import check_clips
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import MODELS


@MODELS.register_module()
@accepts_openmmlab_keywords
class C3D(Backbone):
    """(B, 3, T, H, W) float -> (B, 4096); 16 frames of 112 x 112 pixels with the default `out_dim`.

    Args:
        pretrained: checkpoint that `init_weights` loads.
        conv_cfg: see `ConvModule`, as the next two; None: `Conv3d`.
        norm_cfg: norm; None: none.
        act_cfg: activation; None: `ReLU`.
        out_dim: values of a clip after the last pooling: 512 * T/16 * (H/32 rounded up) * (W/32
            rounded up).
        dropout_ratio: probability that a feature is set to 0 in training.
        init_std: standard deviation of the initial weights of the fully connected layers.
        init_cfg: replaces the initialisation.

    Attributes:
        out_channels: 4096.
    """

    def __init__(
        self,
        pretrained: str | None = None,
        *,
        conv_cfg: LayerCfg | None = None,
        norm_cfg: LayerCfg | None = None,
        act_cfg: LayerCfg | None = None,
        out_dim: int = 8192,
        dropout_ratio: float = 0.5,
        init_std: float = 0.005,
        init_cfg: InitCfg | None = None,
    ) -> None:
        default: InitCfg = [
            {"type": "Kaiming", "layer": "Conv3d"},
            {"type": "Normal", "layer": "Linear", "std": init_std},
        ]
        super().__init__(init_cfg or default, pretrained=pretrained)
        self.in_channels = 3
        self.out_channels = 4096
        self.out_dim = out_dim
        self.dropout_ratio = dropout_ratio
        self.init_std = init_std
        self.conv_cfg: LayerCfg = conv_cfg or {"type": "Conv3d"}
        self.norm_cfg = norm_cfg
        self.act_cfg: LayerCfg = act_cfg or {"type": "ReLU"}

        def conv(in_channels: int, out_channels: int) -> ConvModule:
            return ConvModule(
                in_channels,
                out_channels,
                3,
                padding=1,
                conv_cfg=self.conv_cfg,
                norm_cfg=norm_cfg,
                act_cfg=self.act_cfg,
            )

        self.conv1a = conv(3, 64)
        self.pool1 = nn.MaxPool3d((1, 2, 2))
        self.conv2a = conv(64, 128)
        self.pool2 = nn.MaxPool3d(2)
        self.conv3a, self.conv3b = conv(128, 256), conv(256, 256)
        self.pool3 = nn.MaxPool3d(2)
        self.conv4a, self.conv4b = conv(256, 512), conv(512, 512)
        self.pool4 = nn.MaxPool3d(2)
        self.conv5a, self.conv5b = conv(512, 512), conv(512, 512)
        self.pool5 = nn.MaxPool3d(2, padding=(0, 1, 1))
        self.fc6 = nn.Linear(out_dim, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout_ratio)

    def forward(self, x: Tensor) -> Tensor:
        check_clips(x, self.in_channels, "C3D")
        frames, height, width = x.shape[2:]
        x = self.pool1(self.conv1a(x))  # (B, 64, T, H/2, W/2)
        x = self.pool2(self.conv2a(x))  # (B, 128, T/2, H/4, W/4)
        x = self.pool3(self.conv3b(self.conv3a(x)))  # (B, 256, T/4, H/8, W/8)
        x = self.pool4(self.conv4b(self.conv4a(x)))  # (B, 512, T/8, H/16, W/16)
        x = self.pool5(self.conv5b(self.conv5a(x)))  # (B, 512, T/16, H/32, W/32)
        x = x.flatten(1)
        if x.shape[1] != self.out_dim:
            raise ConfigError(
                f"a clip of {frames} frames of {height} x {width} pixels gives {x.shape[1]} values, but C3D was built"
                f" with out_dim={self.out_dim}: set clip_len and crop size (16 and 112 for 8192), or"
                f" out_dim={x.shape[1]}"
            )
        x = self.dropout(self.relu(self.fc6(x)))
        return self.relu(self.fc7(x))
