"""A test of a user's hook as MMEngine's tests write them."""

import copy

import pytest

from kinema.compat.parts.runner_test_case import RunnerTestCase


class TestSmallRuns(RunnerTestCase):
    def test_a_run_by_epochs_trains_and_validates(self) -> None:
        runner = self.build_runner(copy.deepcopy(self.epoch_based_cfg))
        runner.train()
        assert (runner.epoch, runner.iter) == (2, 8)
        self.clear_work_dir()

    def test_a_run_by_iterations_trains(self) -> None:
        runner = self.build_runner(copy.deepcopy(self.iter_based_cfg))
        runner.train()
        assert runner.iter == 12


@pytest.mark.parametrize("name", ["epoch_based_cfg", "iter_based_cfg"])
def test_runs_have_names_of_their_own(name: str) -> None:
    case = TestSmallRuns("test_a_run_by_epochs_trains_and_validates")
    case.setUp()
    case.setup_dist_env()
    assert case.experiment_name != case.experiment_name != getattr(case, name).experiment_name
    case.tearDown()
