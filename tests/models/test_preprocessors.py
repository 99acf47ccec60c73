from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from kinema.models import ActionDataPreprocessor, BaseDataPreprocessor, stack_batch
from kinema.registry import MODELS
from kinema.structures import ActionDataSample


class Pair(NamedTuple):
    left: torch.Tensor
    right: str


def test_stack_batch_pads_at_the_end_of_all_dimensions_but_the_first() -> None:
    tensors = [torch.full((2, 1, 3, 4), 1.0), torch.full((2, 1, 5, 2), 2.0)]
    batch = stack_batch(tensors, pad_value=9)
    slow = np.full((2, 2, 1, 5, 4), 9.0)
    slow[0, :, :, :3, :4], slow[1, :, :, :5, :2] = 1, 2
    np.testing.assert_array_equal(batch.numpy(), slow)


def test_stack_batch_rounds_all_sizes_but_the_first_up_and_keeps_the_type() -> None:
    clips = [torch.ones(3, 2, 5, 8, dtype=torch.uint8)] * 2
    batch = stack_batch(clips, pad_size_divisor=4)
    assert batch.shape == (2, 3, 4, 8, 8)
    assert batch.dtype == torch.uint8
    assert batch.sum() == 2 * clips[0].sum()


def test_stack_batch_of_equal_shapes_is_torch_stack() -> None:
    tensors = [torch.rand(3, 4, 4) for _ in range(3)]
    assert torch.equal(stack_batch(tensors), torch.stack(tensors))
    assert stack_batch([torch.zeros(3), torch.zeros(3)]).shape == (2, 3)


@pytest.mark.parametrize(
    ("tensors", "error", "message"),
    [
        ([], ValueError, "needs at least one tensor"),
        ([torch.zeros(1, 2), torch.zeros(1, 2, 3)], ValueError, r"numbers of dimensions: \(1, 2\) and \(1, 2, 3\)"),
        ([torch.zeros(1, 3), torch.zeros(2, 3)], ValueError, r"differ in the first dimension .*\(1, 3\) and \(2, 3\)"),
        (torch.zeros(2, 3), TypeError, "takes a list of tensors, got Tensor"),
        ([np.zeros(3)], TypeError, "takes a list of tensors, got list"),
    ],
)
def test_stack_batch_refuses_what_it_cannot_stack(tensors, error, message) -> None:
    with pytest.raises(error, match=message):
        stack_batch(tensors)


def test_cast_data_moves_tensors_in_data_of_any_depth_and_keeps_the_rest() -> None:
    preprocessor = BaseDataPreprocessor().to("meta")
    assert preprocessor.device.type == "meta"
    sample = ActionDataSample().set_gt_label(1)
    data = {
        "a": [torch.zeros(1), (torch.zeros(2), "text")],
        "b": Pair(torch.zeros(3), "name"),
        "c": sample,
        "n": 3,
        "z": None,
    }
    result = preprocessor.cast_data(data)
    assert result["a"][0].is_meta
    assert result["a"][1][0].is_meta
    assert result["a"][1][1] == "text"
    assert isinstance(result["b"], Pair)
    assert result["b"].left.is_meta
    assert result["c"].gt_label.is_meta
    assert not sample.gt_label.is_meta, "the loader's sample is left as it was"
    assert (result["n"], result["z"]) == (3, None)


def test_the_device_follows_the_model_and_leaves_no_trace_in_its_state() -> None:
    parent = torch.nn.Sequential(ActionDataPreprocessor(mean=[1], std=[2]))
    assert parent.state_dict() == {}
    parent.to("meta")
    assert parent[0].device.type == "meta"


@pytest.mark.parametrize(
    ("format_shape", "sample_shape", "channel_axis"),
    [
        ("NCHW", (4, 3, 5, 6), 2),
        ("NCTHW", (1, 3, 4, 5, 6), 2),
        ("MIX2d3d", (3, 5, 6), 1),
        ("MIX2d3d", (2, 3, 4, 5, 6), 2),
    ],
)
@pytest.mark.parametrize("to_rgb", [False, True])
def test_frames_are_normalised_on_their_channel_axis(format_shape, sample_shape, channel_axis, to_rgb) -> None:
    mean, std = [10.0, 20.0, 30.0], [2.0, 4.0, 8.0]
    samples = [torch.randint(0, 256, sample_shape, dtype=torch.uint8) for _ in range(2)]
    preprocessor = MODELS.build(
        {"type": "ActionDataPreprocessor", "mean": mean, "std": std, "to_rgb": to_rgb, "format_shape": format_shape}
    )
    result = preprocessor({"inputs": samples})["inputs"]
    slow = np.moveaxis(torch.stack(samples).numpy().astype(np.float32), channel_axis, -1)
    slow = ((slow[..., ::-1] if to_rgb else slow) - np.float32(mean)) / np.float32(std)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(np.moveaxis(result.numpy(), channel_axis, -1), slow, rtol=1e-6)


def test_without_mean_only_the_type_changes() -> None:
    clips = [torch.randint(0, 256, (1, 3, 2, 4, 4), dtype=torch.uint8)]
    result = ActionDataPreprocessor()({"inputs": clips})["inputs"]
    assert result.dtype == torch.float32
    assert torch.equal(result[0], clips[0].float())
    assert ActionDataPreprocessor(to_float32=False)({"inputs": clips})["inputs"].dtype == torch.uint8
    proposals = ActionDataPreprocessor(format_shape="NPTCHW")({"inputs": [torch.ones(2, 5, 3, 4, 4)] * 2})
    assert proposals["inputs"].shape == (2, 2, 5, 3, 4, 4)
    switches = [ActionDataPreprocessor(**settings)._enable_normalize for settings in ({}, {"mean": [1], "std": [1]})]
    assert switches == [False, True]


def test_a_batch_that_is_stacked_already_is_not_changed_in_place() -> None:
    batch = torch.ones(2, 1, 3, 2, 4, 4)
    ActionDataPreprocessor(mean=[1, 1, 1], std=[2, 2, 2], format_shape="NCTHW")({"inputs": batch})
    assert (batch == 1).all()


def test_a_tuple_of_batches_is_processed_one_by_one() -> None:
    preprocessor = ActionDataPreprocessor(mean=[1], std=[2], format_shape="MIX2d3d")
    images, clips = preprocessor(({"inputs": [torch.ones(1, 4, 4)]}, {"inputs": [torch.ones(1, 1, 2, 4, 4)]}))
    assert (images["inputs"] == 0).all()
    assert clips["inputs"].shape == (1, 1, 1, 2, 4, 4)


@MODELS.register_module()
class DoubleBlending:
    """A blending whose effect is plain to see."""

    def __call__(self, inputs, data_samples):
        return inputs * 2, [f"blended {sample}" for sample in data_samples]


def test_blending_happens_in_training_only() -> None:
    preprocessor = ActionDataPreprocessor(blending={"type": "DoubleBlending"})
    batch = {"inputs": [torch.ones(1, 3, 4, 4)], "data_samples": ["a"]}
    assert preprocessor(batch, training=True)["data_samples"] == ["blended a"]
    assert (preprocessor(batch, training=True)["inputs"] == 2).all()
    assert preprocessor(batch, training=False)["data_samples"] == ["a"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": [1]}, r"mean and std go together, got mean=\[1\], std=None"),
        (
            {"format_shape": "NPTCHW", "mean": [1], "std": [1]},
            "format_shape must be 'NCHW', 'NCTHW' or 'MIX2d3d', got 'NPTCHW'",
        ),
        ({"format_shape": "NTCHW"}, "format_shape must be 'NCHW', 'NCTHW' or 'MIX2d3d', got 'NTCHW'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        ActionDataPreprocessor(**arguments)


def test_channels_that_do_not_fit_the_mean_are_named_with_the_format() -> None:
    preprocessor = ActionDataPreprocessor(mean=[1, 2, 3], std=[1, 1, 1], format_shape="NCHW")
    with pytest.raises(
        ValueError, match=r"mean has 3 values, but .* have 16 channels as format_shape='NCHW' reads them"
    ):
        preprocessor({"inputs": [torch.zeros(1, 3, 16, 8, 8)]})


@pytest.mark.parametrize(
    ("format_shape", "shape"), [("NCHW", (3, 1, 1)), ("NCTHW", (3, 1, 1, 1)), ("MIX2d3d", (3, 1, 1, 1))]
)
def test_mean_and_deviation_undo_the_normalisation(format_shape, shape) -> None:
    preprocessor = ActionDataPreprocessor([1.0, 2, 3], [4.0, 5, 6], format_shape=format_shape)
    assert preprocessor.mean.shape == preprocessor.std.shape == shape
    clips = torch.randint(0, 255, (2, 1, 3, 4, 6, 6) if len(shape) == 4 else (2, 1, 3, 6, 6)).float()
    batch = preprocessor({"inputs": clips})["inputs"]
    torch.testing.assert_close(batch * preprocessor.std + preprocessor.mean, clips)


def test_a_blending_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="blending must be callable, or its config, got 1"):
        ActionDataPreprocessor(blending=1)


def test_a_subclass_preprocesses_another_way() -> None:
    class LongVideo(ActionDataPreprocessor):
        """Each clip of two frames is a sample of its own."""

        def preprocess(self, inputs: Any, data_samples: Any, training: bool = False) -> tuple[torch.Tensor, Any]:
            batch, data_samples = super().preprocess(inputs, data_samples, training)
            return batch.view(-1, 2, *batch.shape[2:]), data_samples

        def forward_onesample(self, data: Any, training: bool = False) -> dict[str, Any]:
            return {**super().forward_onesample(data, training), "seen": training}

    frames = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 3, 4, 4)
    batch = LongVideo(mean=[1.0] * 3, std=[2.0] * 3)({"inputs": [frames]}, training=True)
    assert batch.keys() == {"inputs", "seen"}
    assert batch["inputs"].shape == (3, 2, 3, 4, 4)
    assert batch["inputs"][2, 0, 0, 0, 0] == (4 - 1) / 2
    assert batch["seen"]
