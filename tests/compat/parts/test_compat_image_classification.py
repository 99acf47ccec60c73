"""MMPretrain's images with class labels: as OmniSource trains on them beside clips."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from kinema.compat.parts.image_datasets import ImageNet
from kinema.compat.parts.image_transforms.classification import PackInputs, RandomResizedCrop
from kinema.engine import Runner
from kinema.errors import AnnotationError, RegistryError
from kinema.registry import DATASETS, TRANSFORMS
from kinema.video import write_video
from small_clips import pipeline_of_small_clips

STEPS = [
    dict(type="LoadRGBFromFile"),
    dict(type="mmcls.RandomResizedCrop", scale=32),
    dict(type="mmcls.RandomFlip", prob=0.5, direction="horizontal"),
    dict(type="mmcls.PackClsInputs"),
]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes of two images; those of class i have the red level 100 * i + 50. The last one lies deeper."""
    for label, name in enumerate(("cat", "dog")):
        for file in ("a.png", "deep/b.PNG"):
            path = tmp_path / "train" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((40, 60, 3), (0, 0, 100 * label + 50), np.uint8))
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "train.txt").write_text("dog/a.png 1\ncat/deep/b.PNG 0\n")
    return tmp_path


def test_a_list_of_images_gives_tensors_and_labels(images: Path) -> None:
    config = dict(type="mmcls.ImageNet", data_root=str(images), ann_file="meta/train.txt", data_prefix="train")
    packed = DATASETS.build({**config, "pipeline": STEPS})[0]
    assert packed["inputs"].shape == (3, 32, 32)
    assert packed["inputs"].flatten(1).float().mean(1).tolist() == [150, 0, 0]
    sample = packed["data_samples"]
    assert sample.gt_label.tolist() == [1]
    assert (sample.img_path, sample.ori_shape) == (str(images / "train/dog/a.png"), (40, 60))


def test_folders_are_classes_and_a_split_names_its_list(images: Path) -> None:
    folder = ImageNet(images, data_prefix="train")
    assert [sample["gt_label"] for sample in map(folder.get_data_info, range(4))] == [0, 0, 1, 1]
    assert folder.get_data_info(1)["img_path"] == str(images / "train/cat/deep/b.PNG")
    assert folder.metainfo["classes"] == ["cat", "dog"]
    assert [ImageNet(images, split="train").get_data_info(i)["gt_label"] for i in range(2)] == [1, 0]
    assert len(ImageNet(images, data_prefix="train", with_label=False)) == 4


def test_images_that_are_not_there_are_named(images: Path) -> None:
    with pytest.raises(ValueError, match="split must be 'train', 'val' or 'test', got 'all'"):
        ImageNet(images, split="all")
    with pytest.raises(ValueError, match="give data_root, data_prefix or ann_file, got none of them"):
        ImageNet()
    with pytest.raises(AnnotationError, match="absent: there is no such folder"):
        ImageNet(images, data_prefix="absent")
    with pytest.raises(AnnotationError, match="found no image in it, of the suffixes .jpg"):
        ImageNet(images, data_prefix="meta", with_label=False)
    with pytest.raises(AnnotationError, match="has 2 folders of classes, but `classes` are 3"):
        ImageNet(images, data_prefix="train", classes=["a", "b", "c"])
    (images / "plain.txt").write_text("dog/a.png\n")
    with pytest.raises(AnnotationError, match=r"plain\.txt: expected one 'path label' line an image"):
        ImageNet(images, ann_file="plain.txt")


def test_the_part_of_an_image_is_the_one_that_mmpretrain_draws() -> None:
    """The numbers are those of mmpretrain 1.2.0."""
    crop = RandomResizedCrop(8)
    np.random.seed(0)
    assert crop.rand_crop_params(np.zeros((100, 200, 3))) == (4, 87, 93, 101)
    middle = RandomResizedCrop(8, max_attempts=0)
    sizes = ((100, 200), (200, 100), (100, 110))
    parts = [middle.rand_crop_params(np.zeros((*size, 3))) for size in sizes]
    assert parts == [(0, 33, 100, 133), (33, 0, 133, 100), (0, 0, 100, 110)]
    assert repr(crop) == (
        "RandomResizedCrop(scale=(8, 8), crop_ratio_range=(0.08, 1.0), aspect_ratio_range=(0.75, 1.3333),"
        " max_attempts=10, interpolation=bilinear, backend=cv2)"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(scale=0), "scale must be one or two numbers of pixels, got 0"),
        (dict(scale=8, crop_ratio_range=(1, 0.5)), r"crop_ratio_range must be \(lowest, highest\), got \(1, 0.5\)"),
        (dict(scale=8, max_attempts=-1), "max_attempts must be at least 0, got -1"),
    ],
)
def test_parts_that_cannot_be_drawn_are_refused(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        RandomResizedCrop(**arguments)


def test_what_is_packed_keeps_its_dimensions() -> None:
    grey = PackInputs()({"img": np.zeros((4, 6))})
    assert grey["inputs"].shape == (1, 4, 6)
    clip = PackInputs("clip", ["mask"])({"clip": torch.zeros(2, 3, 4, 6), "mask": 7})
    assert clip["inputs"].shape == (2, 3, 4, 6)
    assert clip["data_samples"].mask == 7


def test_other_parts_of_the_project_are_refused_by_name() -> None:
    with pytest.raises(RegistryError, match="of MMClassification Kinema has PackClsInputs, .*: use one of these"):
        TRANSFORMS.build(dict(type="mmcls.Resize", scale=8))


def test_omnisource_trains_on_clips_and_images_and_validates(images: Path, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (8, 36, 48, 3), dtype=np.uint8)
    lines = []
    for number in range(4):
        write_video(tmp_path / f"{number}.mp4", frames, 10)
        lines.append(f"{number}.mp4 {number % 2}\n")
    (tmp_path / "clips.txt").write_text("".join(lines))
    clips = dict(type="VideoDataset", ann_file=str(tmp_path / "clips.txt"), pipeline=pipeline_of_small_clips())
    loader = dict(batch_size=2, num_workers=0, dataset=dict(**clips, data_prefix=dict(video=str(tmp_path))))
    image_dataset = dict(type="mmcls.ImageNet", data_root=str(images), ann_file="meta/train.txt", data_prefix="train")
    image_loader = dict(batch_size=2, num_workers=0, dataset=dict(**image_dataset, pipeline=STEPS))
    runner = Runner.from_cfg(
        dict(
            work_dir=str(tmp_path / "work"),
            model=dict(
                type="RecognizerOmni",
                backbone=dict(type="OmniResNet", layers=(1, 1, 1, 1)),
                cls_head=dict(type="OmniHead", image_classes=5, video_classes=2, in_channels=2048),
                data_preprocessor=dict(
                    type="ActionDataPreprocessor", mean=[100.0] * 3, std=[50.0] * 3, format_shape="MIX2d3d"
                ),
            ),
            train_dataloader=loader,
            val_dataloader=loader,
            val_evaluator=dict(type="AccMetric"),
            val_cfg=dict(type="ValLoop"),
            train_cfg=dict(type="MultiLoaderEpochBasedTrainLoop", other_loaders=[image_loader], max_epochs=2),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
        )
    )
    runner.train()
    assert runner.progress.step == 2  # an epoch ends with the shorter loader, of two images
    assert {"loss_cls_0", "loss_cls_1"} <= set(runner.train_figures)
    assert 0 <= runner.val()["acc/top1"] <= 1
