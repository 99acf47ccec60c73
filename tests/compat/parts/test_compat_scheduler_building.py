import pytest
import torch

from kinema.compat.parts.scheduler_building import build_scheduler_from_cfg
from kinema.compat.parts.schedulers import LinearLR, StepLR
from kinema.errors import RegistryError
from kinema.optim import schedules
from kinema.registry import PARAM_SCHEDULERS


@pytest.fixture
def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.1)


@pytest.mark.usefixtures("shim")
def test_a_scheduler_with_an_optimizer_steps(optimizer: torch.optim.Optimizer) -> None:
    built = PARAM_SCHEDULERS.build(dict(type="StepLR", step_size=1, gamma=0.5, optimizer=optimizer))
    assert type(built) is StepLR
    optimizer.step()
    built.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    config = dict(type=LinearLR, end=2, convert_to_iter_based=True)
    in_iterations = PARAM_SCHEDULERS.build(config, default_args=dict(optimizer=optimizer, epoch_length=3))
    assert (in_iterations.end, in_iterations.by_epoch) == (6, False)
    assert "epoch_length" not in config
    assert type(PARAM_SCHEDULERS.build(dict(type="StepLR", step_size=1))) is schedules.StepLR


@pytest.mark.usefixtures("shim")
def test_what_is_no_scheduler_with_an_optimizer_is_refused(optimizer: torch.optim.Optimizer) -> None:
    with pytest.raises(RegistryError, match="StepLRR is not in the parameter scheduler registry: did you mean StepLR"):
        build_scheduler_from_cfg(dict(type="StepLRR", optimizer=optimizer), PARAM_SCHEDULERS)
    with pytest.raises(ValueError, match="need by_epoch=True and epoch_length, got"):
        PARAM_SCHEDULERS.build(dict(type="LinearLR", optimizer=optimizer, convert_to_iter_based=True))

    class OwnSchedule(schedules.Schedule):
        def multiplier(self, position: float) -> float:
            return position

    with pytest.raises(RegistryError, match="is a schedule of Kinema's runs alone: leave out its optimizer"):
        build_scheduler_from_cfg(dict(type=OwnSchedule, optimizer=optimizer), PARAM_SCHEDULERS)
