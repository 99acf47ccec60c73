"""Draw docs/images/augmentation.png: what each automatic augmentation does to a made clip.

python scripts/draw_augmentations.py [OUTPUT]
"""

import argparse
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import torch

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from kinema.models import CutmixBlending, MixupBlending
from kinema.structures import ActionDataSample
from kinema.transforms import RandAugment, TrivialAugment
from kinema.transforms.rand_augment import RAND_AUGMENT_OPERATIONS, TRIVIAL_AUGMENT_OPERATIONS

OUTPUT = Path(__file__).parents[1] / "docs" / "images" / "augmentation.png"
COLUMNS = 5
SIZE = (144, 96)  # of a frame: width, height
LEVEL = 7  # of the recipes


def draw_clip(colour: tuple[int, int, int], *, falls: bool) -> np.ndarray:
    """A ball over a meadow, (2, H, W, 3) uint8: thrown to the right by day, or falling at dusk."""
    width, height = SIZE
    frames = []
    for step in (0.0, 1.0):
        top, bottom = ((70, 60, 110), (235, 170, 120)) if falls else ((120, 170, 225), (205, 220, 235))
        sky = np.linspace(top, bottom, height)[:, None].repeat(width, axis=1)
        frame = np.ascontiguousarray(sky.astype(np.uint8))
        cv2.rectangle(frame, (0, height * 2 // 3), (width, height), (95, 140, 70), -1)
        for stripe in range(0, width, 24):
            cv2.rectangle(frame, (stripe, height * 2 // 3), (stripe + 11, height), (110, 155, 80), -1)
        cv2.rectangle(frame, (width - 34, 22), (width - 16, height * 2 // 3), (150, 85, 60), -1)
        cv2.rectangle(frame, (width - 29, 30), (width - 21, 40), (240, 225, 150), -1)
        x, y = (60, 22 + 48 * step) if falls else (24 + 60 * step, 52 - 16 * step)
        cv2.circle(frame, (round(x), round(y)), 13, colour, -1, cv2.LINE_AA)
        cv2.circle(frame, (round(x) - 4, round(y) - 4), 4, (255, 245, 235), -1, cv2.LINE_AA)
        frames.append(frame)
    return np.stack(frames)


def examples() -> list[tuple[str, np.ndarray]]:
    """Title and (2, H, W, 3) uint8 clip of every cell of the picture."""
    clip, other = draw_clip((205, 60, 45), falls=False), draw_clip((45, 70, 190), falls=True)
    black = (0.0, 0.0, 0.0)
    cells = [("the clip", clip)]
    for name, operation in RAND_AUGMENT_OPERATIONS.items():
        torch.manual_seed(1)
        title = name if operation.none == operation.full else f"{name}, level {LEVEL}"
        cells.append((title, operation(clip, LEVEL / 10, black)))
    for seed in (3, 9):
        torch.manual_seed(seed)
        cells.append(("RandAugment(7, 4)", RandAugment(7, 4).augment(clip)))
    for name in ("Rotate", "ShearX"):
        torch.manual_seed(1)
        cells.append((f"TrivialAugment: {name}, 20 of 30", TRIVIAL_AUGMENT_OPERATIONS[name](clip, 20 / 30, black)))
    torch.manual_seed(14)
    cells.append(("TrivialAugment()", TrivialAugment().augment(clip)))
    cells += [("another clip", other), *blended(clip, other)]
    for number, seed in enumerate((1, 4), start=1):
        torch.manual_seed(seed)
        cells.append((f"RepeatAugDataset: sample {number}", RandAugment(7, 4).augment(clip)))
    return cells


def blended(clip: np.ndarray, other: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Mixup and cutmix of two clips, with the soft labels that come of it."""
    inputs = torch.from_numpy(np.stack([clip, other])).permute(0, 4, 1, 2, 3).float()  # (B, C, T, H, W)
    samples = [ActionDataSample().set_gt_label(place) for place in range(2)]
    cells = []
    for name, blending, seed in (("mixup", MixupBlending(2, 0.8), 3), ("cutmix", CutmixBlending(2, 1.0), 16)):
        torch.manual_seed(seed)  # one by which the two clips meet each other
        mixed, soft = blending(inputs, samples)
        label = ", ".join(f"{float(share):.2f}" for share in soft[0].gt_label)
        cells.append((f"{name}: label ({label})", mixed[0].permute(1, 2, 3, 0).byte().numpy()))
    return cells


def draw(cells: list[tuple[str, np.ndarray]]) -> Figure:
    """All clips in a grid, two frames each."""
    rows = -(-len(cells) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(15, 1.42 * rows), layout="constrained")
    for place in axes.flat:
        place.axis("off")
    for place, (title, frames) in zip(axes.flat, cells, strict=False):
        gap = np.full((SIZE[1], 4, 3), 255, dtype=np.uint8)
        place.imshow(np.concatenate([frames[0], gap, frames[1]], axis=1), interpolation="nearest")
        place.set_title(title, fontsize=10)
    return figure


def main() -> None:
    """Write the picture and say where."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", nargs="?", type=Path, default=OUTPUT)
    output = parser.parse_args().output
    output.parent.mkdir(parents=True, exist_ok=True)
    draw(examples()).savefig(output, dpi=90, metadata={"Software": None})
    print(f"{output}: {output.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
