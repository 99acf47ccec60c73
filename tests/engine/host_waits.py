"""Finds, on any device, what makes the host wait for a GPU."""

import contextlib
import sys
import warnings

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

# Their results, or the sizes of those, are values of their inputs.
WAITING = {
    *(aten._local_scalar_dense, aten.item, aten.is_nonzero, aten.nonzero, aten.equal, aten.masked_select),
    *(aten.unique_dim, aten._unique, aten._unique2, aten.unique_consecutive, aten.bincount, aten.histc),
}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._unsafe_index_put}
# On a CPU alone torch checks that class numbers are in range; a distribution of Python's numbers is on the host.
ON_CPU_ONLY, ON_HOST = (torch.nn.functional.one_hot,), "torch/distributions/"


class HostWaits(TorchDispatchMode):
    """While it is entered, collects the operations that would wait for a GPU if all tensors were there.

    What is on the host in any case is read by `Tensor.numpy()`, which a tensor on a GPU refuses.

    Attributes:
        waits: the operations, each with the places in Kinema's, torch's or the test's code that led to it.
    """

    def __init__(self):
        super().__init__()
        self.waits = []
        self.is_ignoring = False
        self._functions = _Functions(self)

    def __enter__(self):
        self._functions.__enter__()
        return super().__enter__()

    def __exit__(self, *details):
        super().__exit__(*details)
        self._functions.__exit__(*details)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        packet = func.overloadpacket
        masks = packet in INDEXING and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if packet in WAITING or masks or func is aten.repeat_interleave.Tensor:
            self.note(str(func))
        return func(*args, **(kwargs or {}))

    def note(self, name):
        places, frame = [], sys._getframe(2)
        while frame is not None:
            places.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
            frame = frame.f_back
        if not self.is_ignoring and not any(ON_HOST in place for place in places):
            self.waits.append((name, [place for place in places if "/_dynamo/" not in place][:12]))


class _Functions(TorchFunctionMode):
    """Sees calls that never become an operation of their own on a CPU."""

    def __init__(self, waits):
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (Tensor.tolist, Tensor.cpu):
            self.waits.note(func.__name__)
        outer, self.waits.is_ignoring = self.waits.is_ignoring, self.waits.is_ignoring or func in ON_CPU_ONLY
        try:
            return func(*args, **kwargs)
        finally:
            self.waits.is_ignoring = outer


@contextlib.contextmanager
def no_waits(device):
    """Fail where something inside waits for `device`: on a GPU by torch's own means, elsewhere by `HostWaits`."""
    if torch.device(device).type != "cuda":
        with HostWaits() as found:
            yield
        assert not found.waits, found.waits
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Synchronization debug mode")  # that it does not see everything
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
