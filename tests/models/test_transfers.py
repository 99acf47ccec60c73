import copy
import pickle

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models import BaseDataPreprocessor
from kinema.models.heads import I3DHead
from kinema.models.transfers import LabelRange, onto
from kinema.structures import ActionDataSample


def describe(label):
    return f"there is no class {label}"


def test_labels_in_range_are_given_back(device) -> None:
    labels = torch.tensor([0, 2, 1], device=device)
    label_range = LabelRange()
    assert torch.equal(label_range.check(labels, 3, describe), labels)
    label_range.finish()


@pytest.mark.parametrize("wrong", [3, -1])
def test_a_label_out_of_range_is_an_error_once_it_is_known(device, wrong) -> None:
    label_range = LabelRange()
    with pytest.raises(ConfigError, match=f"there is no class {wrong}"):  # noqa: PT012 - see below
        kept = label_range.check(torch.tensor([0, wrong], device=device), 3, describe)
        assert kept.tolist() == [0, 2 if wrong > 0 else 0]  # only on a GPU, where the error comes later
        label_range.finish()
    label_range.finish()  # an error once


@pytest.mark.gpu
def test_labels_of_a_gpu_are_not_waited_for() -> None:
    label_range, done = LabelRange(), torch.cuda.Event()
    torch.cuda._sleep(10**9)
    label_range.check(torch.full((2,), 5, device="cuda"), 3, describe)
    done.record()
    assert not done.query()
    done.synchronize()
    with pytest.raises(ConfigError, match="there is no class 5"):
        label_range.check(torch.zeros(2, dtype=torch.long, device="cuda"), 3, describe)


def test_a_head_with_labels_on_their_way_can_be_copied(device) -> None:
    head = I3DHead(3, 4).to(device)
    sample = ActionDataSample().set_gt_label(torch.tensor([1])).to(device)
    inputs = torch.ones(1, 4, 1, 1, 1, device=device)
    head.loss(inputs, [sample])
    for other in (copy.deepcopy(head), pickle.loads(pickle.dumps(head))):
        assert torch.equal(other.eval()(inputs), head.eval()(inputs))


def test_a_wrong_label_is_an_error_before_an_evaluation_at_the_latest(device) -> None:
    head = I3DHead(3, 4).to(device)
    sample = ActionDataSample().set_gt_label(torch.tensor([7])).to(device)
    with pytest.raises(ConfigError, match="label 7 is out of range"):  # noqa: PT012 - on a GPU the second line raises
        head.loss(torch.ones(1, 4, 1, 1, 1, device=device), [sample])
        head.eval()


def test_values_are_the_same_on_the_other_device(device) -> None:
    values = torch.arange(1000.0)
    moved = onto(values, torch.device(device))
    assert moved.device.type == device
    back = onto(moved, torch.device("cpu"))
    assert torch.equal(back, values)


@pytest.mark.gpu
@pytest.mark.parametrize("is_pinned", [True, False])
def test_a_batch_on_its_way_to_a_gpu_is_not_waited_for(is_pinned) -> None:
    model = nn.ModuleDict({"preprocessor": BaseDataPreprocessor()}).cuda()
    batch = {"inputs": [torch.ones(1000) for _ in range(3)], "data_samples": [ActionDataSample().set_gt_label(1)]}
    if is_pinned:
        batch["inputs"] = [clip.pin_memory() for clip in batch["inputs"]]
    done = torch.cuda.Event()
    torch.cuda._sleep(10**9)
    moved = model["preprocessor"](batch)
    done.record()
    if is_pinned:
        assert not done.query()
    assert all(clip.is_cuda and clip.sum() == 1000 for clip in moved["inputs"])
    assert moved["data_samples"][0].gt_label.is_cuda
