"""Recognizers of sound."""

import numpy as np
import pytest
import torch
from torch import nn

from kinema.engine import Runner
from kinema.errors import ConfigError
from kinema.models import RecognizerAudio, ResNetAudio, TSNAudioHead
from kinema.structures import ActionDataSample


def test_the_first_stages_look_along_time_and_frequency_apart() -> None:
    net = ResNetAudio(50, num_stages=3, base_channels=4, strides=(1, 2, 2)).eval()
    kernels = [
        conv.kernel_size for conv in (net.layer1[0].conv2.conv.conv_1.conv, net.layer1[0].conv2.conv.conv_2.conv)
    ]
    assert kernels == [(3, 1), (1, 3)]
    assert net.layer3[0].conv2.conv.kernel_size == (3, 3)
    assert net(torch.rand(2, 1, 17, 12)).shape == (2, 64, 5, 3)
    assert (net.out_channels, net.feat_dim) == (64, 64)


def test_blocks_start_as_their_shortcut_and_frozen_stages_stay() -> None:
    net = ResNetAudio(50, base_channels=2, frozen_stages=1)
    net.init_weights()
    assert not net.layer4[1].conv3.norm.weight.any()
    x = torch.rand(1, 8, 4, 4)
    assert torch.equal(net.layer1[1].eval()(x), x)
    net.train()
    assert not net.conv1.training
    assert {name.split(".")[0] for name, value in net.named_parameters() if value.requires_grad} == {
        "layer2", "layer3", "layer4"
    }  # fmt: skip


def test_a_block_that_is_computed_anew_has_the_same_gradients() -> None:
    gradients = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        net = ResNetAudio(50, base_channels=2, num_stages=2, with_cp=with_cp)
        x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
        net(x).square().sum().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ResNetAudio(18), ConfigError, "ResNetAudio has no depth 18: there are 50, 101, 152"),
        (lambda: ResNetAudio(50, num_stages=5), ConfigError, "num_stages of ResNetAudio must be 1 to 4, got 5"),
        (lambda: ResNetAudio(50, strides=(1, 2)), ConfigError, "strides of ResNetAudio has 2 values for 4 stages"),
        (lambda: ResNetAudio(50, conv_cfg={"type": "Conv1d"}), ConfigError, "conv_cfg of ResNetAudio must be"),
        (lambda: ResNetAudio(50, dilations=(2, 1, 1, 1)), ConfigError, "has no dilation, got dilation=2"),
        (lambda: ResNetAudio(50)(torch.rand(1, 3, 8, 8)), ConfigError, r"takes sound \(batch, 1, time, frequency\)"),
        (lambda: TSNAudioHead(2, 4, spatial_type=None), ConfigError, "spatial_type must be 'avg', got None"),
        (lambda: TSNAudioHead(2, 4)(torch.rand(1, 4)), ConfigError, r"takes features of sound, .* got \(1, 4\)"),
        (
            lambda: RecognizerAudio(nn.Identity()).fold(torch.rand(1, 1, 8, 8)),
            ValueError,
            "RecognizerAudio takes sound",
        ),
    ],
)
def test_what_sound_cannot_be_is_refused(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_views_are_averaged_and_lists_are_stacked_without_a_preprocessor() -> None:
    torch.manual_seed(0)
    model = RecognizerAudio(
        dict(type="ResNet", depth=18, in_channels=1), TSNAudioHead(3, 512, average_clips="score")
    ).eval()
    sound = torch.rand(2, 1, 64, 40)
    both = model.test_step({"inputs": [sound], "data_samples": [ActionDataSample()]})[0].pred_score
    alone = [model.test_step({"inputs": [clip[None]], "data_samples": [ActionDataSample()]})[0] for clip in sound]
    torch.testing.assert_close(both, torch.stack([sample.pred_score for sample in alone]).mean(0))


def test_a_config_of_sound_trains_and_validates(tmp_path) -> None:
    drawn = np.random.default_rng(0)
    for number in range(4):
        np.save(tmp_path / f"{number}.npy", drawn.random((50, 16), np.float32))
    (tmp_path / "list.txt").write_text("".join(f"{number}.npy 40 {number % 2}\n" for number in range(4)))
    steps = [
        dict(type="LoadAudioFeature"),
        dict(type="SampleFrames", clip_len=16, frame_interval=1, num_clips=1),
        dict(type="AudioFeatureSelector", fixed_length=20),
        dict(type="FormatAudioShape", input_format="NCTF"),
        dict(type="PackActionInputs"),
    ]
    dataset = dict(type="AudioDataset", ann_file=str(tmp_path / "list.txt"), data_prefix=dict(audio=str(tmp_path)))
    loader = dict(batch_size=2, num_workers=0, dataset=dict(**dataset, pipeline=steps))
    runner = Runner.from_cfg(
        dict(
            work_dir=str(tmp_path / "work"),
            model=dict(
                type="RecognizerAudio",
                backbone=dict(type="ResNetAudio", depth=50, base_channels=4),
                cls_head=dict(type="TSNAudioHead", num_classes=2, in_channels=128),
            ),
            train_dataloader=loader,
            val_dataloader=loader,
            val_evaluator=dict(type="AccMetric"),
            val_cfg=dict(type="ValLoop"),
            train_cfg=dict(type="EpochBasedTrainLoop", max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
        )
    )
    runner.train()
    assert runner.progress.step == 2
    assert 0 <= runner.val()["acc/top1"] <= 1
