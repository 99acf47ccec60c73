"""Training on several processes: gradients averaged by DistributedDataParallel."""

from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kinema.engine.optim import OptimWrapper
from kinema.models import BaseModel


class _Losses(nn.Module):
    """`forward` computes the losses of a batch: DistributedDataParallel needs the work inside `forward`."""

    def __init__(self, model: BaseModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, data: Any) -> Any:
        # Not train_step: one of the user's own would update the parameters itself.
        return self.model._run_forward(self.model.data_preprocessor(data, True), "loss")


class ParallelModel:
    """A model whose training step averages gradients over all processes; parameter names stay those of the model.

    Args:
        model: on its device already, the same on all processes.
    """

    def __init__(self, model: BaseModel) -> None:
        self.model = model
        self.losses = DistributedDataParallel(_Losses(model))

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Like `BaseModel.train_step`."""
        with optim_wrapper.optim_context(self.losses):
            losses = self.losses(data)
        loss, log_vars = self.model.parse_losses(losses)
        optim_wrapper.update_params(loss)
        return log_vars
