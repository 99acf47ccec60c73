"""Networks of today's families, built from the description of a fixture.

`build(fixture)` reads only `name`, `family`, `source`, `how`, `config` and `input_shape`.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# A family's first part -> the module of `foundation/` that builds it, by its `build(fixture)`.
BUILDERS = {
    "hf/clip": "libraries",
    "hf/siglip": "libraries",
    "hf/timesformer": "libraries",
    "hf/videomae": "videomae",
    "hf/videoprism": "videoprism",
    "hf/vivit": "libraries",
    "hf/vjepa2": "vjepa",
    "hiera": "hiera",
    "internvideo2": "internvideo2",
    "movinet": "movinet",
    "timm": "libraries",
    "umt": "videomae",
    "videomae": "videomae",
    "videoprism": "videoprism",
    "vjepa": "vjepa",
    "vjepa2": "vjepa",
    "vjepa2.1": "vjepa",
}


@dataclass
class Built:
    """A network under the names of its original.

    Attributes:
        compute: input as the original takes it -> its outputs by their names in fixtures; those that
            a fixture does not list are further ones.
        tensors: the original's names -> the network's own tensors, or views of them.
    """

    compute: Callable[[Tensor], dict[str, Tensor]]
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def outputs(self, x: Any) -> dict[str, Tensor]:
        """Outputs for an input (tensor or array), without gradients."""
        with torch.inference_mode():
            return self.compute(torch.as_tensor(x))


def build(fixture: Mapping[str, Any]) -> Built:
    """The network that a fixture describes, in evaluation mode.

    Raises:
        ValueError: no module builds its family.
    """
    family = str(fixture["family"])
    names = [name for name in BUILDERS if family == name or family.startswith(f"{name}/")]
    if not names:
        raise ValueError(f"no module builds the family {family!r}; families: {', '.join(BUILDERS)}")
    here = str(Path(__file__).parent)
    if here not in sys.path:
        sys.path.insert(0, here)
    module = importlib.import_module(f"foundation.{BUILDERS[max(names, key=len)]}")
    built: Built = module.build(fixture)
    return built
