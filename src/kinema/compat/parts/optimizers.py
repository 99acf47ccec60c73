"""Names of the optimizers in the registry, by the library that they are from."""

import kinema.optim.wrapper  # noqa: F401 - it registers them
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
