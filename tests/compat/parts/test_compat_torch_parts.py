"""Collective operations, checkpoints and assertions."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from group_of_one import group_of_one
from kinema.compat.parts import (
    checking,
    checkpoint_files,
    checkpoints,
    communication,
    devices,
    environment,
    process_groups,
    torch_tools,
)
from kinema.compat.parts.metric_values import get_metric_value
from kinema.errors import CheckpointError


def test_collectives_work_in_one_process_without_any_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    data = torch.tensor([1.0, 2.0])
    assert process_groups.get_dist_info() == (0, 1)
    assert (process_groups.get_local_size(), process_groups.get_local_rank()) == (1, 0)
    assert process_groups.get_backend() is process_groups.get_local_group() is None
    assert process_groups.is_main_process()
    process_groups.barrier()
    assert communication.gather_object({"a": 1}) == communication.all_gather_object({"a": 1}) == [{"a": 1}]
    assert communication.gather(data)[0] is data
    assert communication.collect_results([1, 2, 3], 2) == communication.collect_results_gpu([1, 2], 2) == [1, 2]
    assert communication.collect_results_cpu([1], 1) == [1]
    assert 0 <= communication.sync_random_seed() < 2**31
    with pytest.raises(ValueError, match="device must be 'cpu' or 'gpu', got 'tpu'"):
        communication.collect_results([1], 1, device="tpu")
    with pytest.raises(TypeError, match="data must be a list, got int"):
        communication.broadcast_object_list(3)
    assert not communication.is_distributed()
    assert communication.all_gather(data)[0] is data
    communication.all_reduce(data, op="mean")
    communication.broadcast(data)
    assert data.tolist() == [1, 2]
    process_groups.init_dist("none")
    assert not communication.is_distributed()
    with pytest.raises(ValueError, match="launcher must be 'pytorch', 'slurm', 'mpi' or 'none', got 'ssh'"):
        process_groups.init_dist("ssh")
    with pytest.raises(ValueError, match="init_backend must be 'torch', got 'deepspeed'"):
        process_groups.init_dist("pytorch", init_backend="deepspeed")
    with pytest.raises(
        ValueError, match="op must be one of sum, mean, product, min, max, band, bor, bxor, got 'average'"
    ):
        communication.all_reduce(data, op="average")


def test_collectives_agree_with_torch_distributed(tmp_path: Path) -> None:
    with group_of_one(tmp_path):
        data = torch.tensor([1.0, 2.0])
        assert [one.tolist() for one in communication.all_gather(data)] == [[1, 2]]
        for op in ("sum", "mean", "max"):
            communication.all_reduce(data, op=op)
        communication.broadcast(data, 0)
        communication.all_reduce_dict({"a": data})
        communication.all_reduce_params([data])
        assert data.tolist() == [1, 2]
        assert process_groups.get_backend() == "gloo"
        assert process_groups.get_comm_device().type == "cpu"
        assert process_groups.get_default_group().size() == 1
        process_groups.init_local_group(0, 1)
        assert (process_groups.get_local_size(), process_groups.get_local_rank()) == (1, 0)
        process_groups.barrier()


def test_tensors_are_moved_and_their_device_is_asked() -> None:
    cpu, ones = torch.device("cpu"), torch.ones(2)
    assert process_groups.get_data_device([ones, {"a": ones}]) == cpu
    target = torch.zeros(2)
    process_groups.cast_data_device({"a": [ones]}, cpu, out={"a": [target]})
    assert target.tolist() == [1, 1]
    for call, error, message in [
        (lambda: process_groups.get_data_device("a"), TypeError, "or a dict or list of tensors, got str"),
        (lambda: process_groups.get_data_device([]), ValueError, "expected tensors of one device, got no tensors"),
        (lambda: process_groups.cast_data_device(3, cpu), TypeError, "or a dict or list of tensors, got int"),
        (lambda: process_groups.cast_data_device(ones, cpu, out=[ones]), TypeError, "type of data, Tensor, got list"),
        (lambda: process_groups.cast_data_device([ones], cpu, out=[]), ValueError, "out must have 1 entries, got 0"),
        (lambda: process_groups.cast_data_device({"a": ones}, cpu, out={}), ValueError, r"the keys \['a'\], got \[\]"),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_what_started_a_process_is_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert process_groups.infer_launcher() == "none"
    for name, launcher in [("OMPI_COMM_WORLD_LOCAL_RANK", "mpi"), ("SLURM_NTASKS", "slurm"), ("WORLD_SIZE", "pytorch")]:
        monkeypatch.setenv(name, "0")
        assert process_groups.infer_launcher() == launcher


def test_devices_are_known_by_kind() -> None:
    assert devices.get_device() in ("cpu", "cuda", "mps")
    assert devices.get_max_cuda_memory() >= 0
    assert not devices.is_unsupported_device_available()


def test_a_metric_is_read_with_or_without_its_prefix() -> None:
    metrics = {"acc": 0.5, "a/mAP": 0.1, "b/mAP": 0.2, "c/x": 3}
    assert [get_metric_value(name, metrics) for name in ("acc", "a/mAP", "x")] == [0.5, 0.1, 3]
    with pytest.raises(ValueError, match="no single metric is called 'mAP': a/mAP, b/mAP all end so"):
        get_metric_value("mAP", metrics)
    with pytest.raises(ValueError, match="no single metric is called 'y': there are acc, a/mAP, b/mAP, c/x"):
        get_metric_value("y", metrics)


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    state = {"backbone.weight": torch.full((1, 2), 3.0), "backbone.bias": torch.ones(1)}
    torch.save({"state_dict": state, "meta": {"epoch": 1}}, tmp_path / "model.pth")
    return tmp_path / "model.pth"


def test_weights_are_loaded_by_the_old_functions(weights_file: Path) -> None:
    model = nn.Sequential()
    model.add_module("backbone", nn.Linear(2, 1))
    loaded = checkpoints.load_checkpoint(model, str(weights_file), map_location="cpu")
    assert model.backbone.weight.tolist() == [[3, 3]]
    assert set(loaded["state_dict"]) == set(checkpoint_files.read_checkpoint(weights_file)["state_dict"])
    part = checkpoints.read_weights_below("backbone.", weights_file)
    assert set(part) == {"weight", "bias"}
    linear = nn.Linear(2, 1)
    checkpoints.load_state_dict(linear, part, strict=True)
    assert linear.bias.tolist() == [1]


def test_weights_that_do_not_fit_are_an_error_that_names_the_file(weights_file: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.pth: nothing in the checkpoint fits Conv2d"):
        checkpoints.load_checkpoint(nn.Conv2d(1, 1, 1), weights_file)
    with pytest.raises(CheckpointError, match=r"model\.pth: no weight's name starts with 'neck\.'; there are backbone"):
        checkpoints.read_weights_below("neck", weights_file)


def test_seeding_returns_the_seed_and_repeats_the_numbers() -> None:
    assert checkpoint_files.set_random_seed(3, diff_rank_seed=True) == 3
    first = torch.rand(2)
    checkpoint_files.set_random_seed(3)
    assert torch.equal(torch.rand(2), first)


def test_assertions_return_whether_it_holds() -> None:
    checking.assert_allclose(torch.ones(2).half(), torch.ones(2))
    with pytest.raises(AssertionError, match="not close"):
        checking.assert_allclose(torch.ones(2), torch.zeros(2))
    assert checking.assert_dict_has_keys({"a": 1, "b": 2}, ["a"])
    assert not checking.assert_dict_has_keys({"a": 1}, ["a", "b"])
    assert checking.assert_keys_equal(["a", "b"], ["b", "a"])
    assert checking.assert_dict_contains_subset({"a": 1, "b": 2}, {"a": 1})
    assert not checking.assert_dict_contains_subset({"a": 1}, {"a": 2})
    assert checking.assert_attrs_equal(Path("a/b"), {"name": "b"})
    assert not checking.assert_attrs_equal(Path("a/b"), {"nothing": "b"})
    layer = nn.Linear(2, 1)
    assert not checking.assert_params_all_zeros(layer)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    assert checking.assert_params_all_zeros(layer)
    assert checking.assert_is_norm_layer(nn.BatchNorm3d(1))
    assert not checking.assert_is_norm_layer(layer)


def test_norm_layers_are_looked_at_and_backbones_get_inputs() -> None:
    model = nn.Sequential(nn.Conv3d(3, 3, 1), nn.BatchNorm3d(3).eval())
    assert checking.check_norm_state(model.modules(), False)
    assert not checking.check_norm_state(model.modules(), True)
    inputs = checking.generate_backbone_demo_inputs((1, 3, 2, 4, 4))
    assert inputs.shape == (1, 3, 2, 4, 4)
    assert inputs.dtype == torch.float32
    batch = checking.generate_recognizer_demo_inputs((1, 5, 3, 2, 4, 4), "3D")
    assert batch["imgs"].shape == (1, 5, 3, 2, 4, 4)
    assert batch["gt_labels"].tolist() == [2] * 5
    with pytest.raises(ValueError, match="model_type must be '2D', '3D', 'audio' or 'skeleton', got 'text'"):
        checking.generate_recognizer_demo_inputs(model_type="text")


def test_a_script_runs_in_this_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "hello.py"
    script.write_text("import sys\nprint(__name__, sys.argv[1:])\n")
    before = sys.argv
    for command in (f"{script} a 'b c'", f"python {script} a 'b c'"):
        checking.check_python_script(command)
    assert capsys.readouterr().out == "__main__ ['a', 'b c']\n" * 2
    assert sys.argv is before


def test_mmactions_facts_are_those_of_the_program_and_its_release() -> None:
    assert environment.collect_mmaction_env()["MMAction2"].startswith("1.2.0+")


def test_a_shared_seed_is_drawn_by_numpy() -> None:
    np.random.seed(3)
    expected = np.random.randint(2**31)
    np.random.seed(3)
    assert communication.sync_random_seed() == expected


def test_a_build_for_gpus_of_amd_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch_tools.is_rocm_pytorch() is (torch.version.hip is not None)
    monkeypatch.setattr(torch.version, "hip", "6.2")
    assert torch_tools.is_rocm_pytorch()
