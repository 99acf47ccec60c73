"""Names of the optimizers in the registry, by the library that they are from; a parameter's layer by its name."""

import kinema.optim.wrapper  # noqa: F401 - it registers them
from kinema.optim.parameter_groups import layer_of
from kinema.registry import OPTIMIZERS

_BY_LIBRARY: dict[str, list[str]] = {}
for _name in OPTIMIZERS.names():
    _library = getattr(OPTIMIZERS.get(_name), "__module__", "").partition(".")[0]
    _BY_LIBRARY.setdefault(_library, []).append(_name)

TORCH_OPTIMIZERS = ["Optimizer", *_BY_LIBRARY.get("torch", [])]
BITSANDBYTES_OPTIMIZERS = _BY_LIBRARY.get("bitsandbytes", [])
DADAPTATION_OPTIMIZERS = _BY_LIBRARY.get("dadaptation", [])
LION_OPTIMIZERS = _BY_LIBRARY.get("lion_pytorch", [])
SOPHIA_OPTIMIZERS = _BY_LIBRARY.get("Sophia", [])
TRANSFORMERS_OPTIMIZERS = _BY_LIBRARY.get("transformers", [])


def get_layer_id(var_name: str, max_layer_id: int) -> int:
    """Number of a parameter's layer, 0 to `max_layer_id` + 1, see `layer_of`.

    Args:
        var_name: name in the recognizer, such as `backbone.blocks.3.attn.qkv.weight`.
        max_layer_id: number of blocks.
    """
    prefix = "backbone."
    return layer_of(var_name.removeprefix(prefix) if var_name.startswith(prefix) else "", max_layer_id)
