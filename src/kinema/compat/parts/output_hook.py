"""`OutputHook`: outputs of layers while a `with` block runs."""

from collections.abc import Sequence
from typing import Any, Self

from torch import Tensor, nn


class OutputHook:
    """Keep the last output of some layers in `layer_outputs`, by their names.

    Args:
        module: the model.
        outputs: names of its modules; None or no sequence: none.
        as_tensor: keep tensors on their device; False: arrays.

    Raises:
        AttributeError: there is no such module.
    """

    def __init__(self, module: nn.Module, outputs: Sequence[str] | None = None, as_tensor: bool = False) -> None:
        self.outputs = outputs
        self.as_tensor = as_tensor
        self.layer_outputs: dict[str, Any] = {}
        self.handles: list[Any] = []
        self.register(module)

    def register(self, module: nn.Module) -> None:
        """Begin to keep outputs."""
        if not isinstance(self.outputs, list | tuple):
            return
        for name in self.outputs:
            self.handles.append(module.get_submodule(name).register_forward_hook(self._keep(name)))

    def _keep(self, name: str) -> Any:
        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self.layer_outputs[name] = self._kept(output)

        return keep

    def _kept(self, output: Any) -> Any:
        if isinstance(output, list | tuple):
            return [self._kept(entry) for entry in output]
        if self.as_tensor or not isinstance(output, Tensor):
            return output
        return output.detach().cpu().numpy()

    def remove(self) -> None:
        """Stop keeping outputs."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
