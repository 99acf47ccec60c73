import inspect

import pytest
import torch

import kinema.compat
from kinema.compat.parts import schedulers
from kinema.compat.parts.scheduler_building import build_scheduler_from_cfg
from kinema.compat.parts.schedulers import LinearLR, StepLR
from kinema.config.checking import check_parts
from kinema.errors import PartArgumentError, RegistryError
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
def test_a_name_gives_the_class_that_is_built_and_a_run_its_curve(optimizer: torch.optim.Optimizer) -> None:
    for name in ("StepLR", "mmengine.LinearMomentum", "ReduceOnPlateauParamScheduler"):
        kind = PARAM_SCHEDULERS.get(name)
        assert kind is getattr(schedulers, name.rpartition(".")[2])
    assert list(inspect.signature(StepLR).parameters)[:4] == ["optimizer", "step_size", "gamma", "begin"]
    assert PARAM_SCHEDULERS.get("StepLR")(optimizer, step_size=2).step_size == 2  # type: ignore[misc]
    (curve,) = schedules.build_schedules({"type": "StepLR", "step_size": 2, "convert_to_iter_based": True})
    assert type(curve) is schedules.StepLR
    config = {"param_scheduler": {"type": "StepLR", "step_size": 2, "gama": 0.1}}
    with pytest.raises(PartArgumentError, match=r"StepLR has no keyword 'gama' \(did you mean gamma\?\)"):
        check_parts(config)
    kinema.compat.uninstall()
    assert PARAM_SCHEDULERS.get("StepLR") is schedules.StepLR


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
