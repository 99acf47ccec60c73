"""Draw docs/images/architecture.svg: the floors of the code, and the path of a clip through them.

python scripts/draw_architecture.py [OUTPUT]
"""

import argparse
from html import escape
from pathlib import Path
from textwrap import wrap

OUTPUT = Path(__file__).parents[1] / "docs" / "images" / "architecture.svg"

# From the bottom up, as in tests/test_import_direction.py: the folders of a floor, and what they
# do. Imports point down the picture.
SERVICES = (
    *(
        "errors",
        "arguments",
        "printable",
        "cores",
        "memory",
        "files",
        "spelling",
        "real_modules",
        "instances",
        "openmmlab",
    ),
    *(
        "registry",
        "config",
        "structures",
        "launching",
        "peers",
        "distributed",
        "randomness",
        "logs",
        "progress",
    ),
)
FLOORS = [
    (SERVICES, "services: errors, parts by name, configs, data elements, random numbers, OpenMMLab's names"),
    (("video",), "a file on disk → exact frames"),
    (("transforms",), "sample dict → sample dict"),
    (("datasets",), "annotations → samples → batches"),
    (("evaluation",), "scores, labels → numbers"),
    (("checkpoints",), "a file of weights ↔ weights and a contract"),
    (("models",), "batch → loss or scores"),
    (("optim",), "updates of parameters: optimizers, schedules, precision"),
    (("parallel",), "one device or many processes: DDP, FSDP2"),
    (("runs",), "what a run keeps on disk: its folder, settings, figures"),
    (("visualization",), "images and figures drawn in passing"),
    (("diagnosis",), "numbers that are not finite; runs that stand still"),
    (("training",), "counters, step, loop and checkpoints of a run"),
    (("hooks",), "what a run does besides: validation, checkpoints, figures, stopping"),
    (("engine",), "from a config to a run: plan, runner, OpenMMLab's names"),
    (("inference",), "a checkpoint → predictions"),
    (("report",), "what people look at: pages, plots"),
    (("recipes", "cli", "compat"), "whole runs as configs; commands; OpenMMLab's modules"),
]
# The path of a clip: what it is when it leaves a floor.
CLIP = {
    "video": "(T, H, W, 3) uint8",
    "transforms": "(V, 3, T, H, W) uint8",
    "datasets": "batch, on any worker",
    "models": "normalised on the device; scores",
    "engine": "checkpoint",
    "inference": "label and scores",
}
WIDTH, ROW, LEFT, NAMES, TOP = 1010, 46, 20, 250, 56
LINE_OF_NAMES = 100  # letters of a line of the ground floor
PATH = 760  # x of the clip's path


def text(x: float, y: float, content: str, **style: str) -> str:
    """An element of text; keyword arguments are attributes, `_` for `-`."""
    attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<text x="{x}" y="{y}"{attributes}>{escape(content)}</text>'


def draw() -> str:
    """The picture as SVG."""
    height = TOP + ROW * (len(FLOORS) + 1) + 8
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"'
            ' font-size="15">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        (
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 8 4 0 8z" fill="#d9480f"/></marker></defs>'
        ),
        text(LEFT, 32, "Each floor imports only those below it", font_weight="bold"),
        text(PATH - 8, 32, "The path of a clip", font_weight="bold", fill="#d9480f"),
    ]
    stops = []
    for place, (names, what) in enumerate(reversed(FLOORS)):
        y = TOP + ROW * place
        is_ground = place == len(FLOORS) - 1
        size = ROW * (2 if is_ground else 1) - 8
        parts.append(f'<rect x="{LEFT}" y="{y}" width="710" height="{size}" rx="6" fill="#e7f0fa" stroke="#9db8d3"/>')
        if is_ground:
            parts.append(text(LEFT + 14, y + 24, what))
            for line, words in enumerate(wrap(" ".join(names), LINE_OF_NAMES)):
                parts.append(text(LEFT + 14, y + 44 + 16 * line, words, font_size="12", fill="#456"))
        else:
            parts.append(text(LEFT + 14, y + 25, "  ".join(f"{name}/" for name in names), font_weight="bold"))
            parts.append(text(LEFT + NAMES, y + 25, what))
        stops += [(y + 19, CLIP[name]) for name in names if name in CLIP]
    stops.reverse()
    parts.append(text(PATH - 8, TOP + ROW * len(FLOORS), "clip.mp4, a line of a list", fill="#d9480f"))
    before = TOP + ROW * len(FLOORS) - 18
    for y, what in stops:
        parts.append(
            f'<line x1="{PATH}" y1="{before}" x2="{PATH}" y2="{y + 6}" stroke="#d9480f" stroke-width="2"'
            ' marker-end="url(#tip)"/>'
        )
        parts.append(text(PATH + 12, y + 5, what, font_size="12.5"))
        before = y - 2
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", nargs="?", type=Path, default=OUTPUT)
    output = parser.parse_args().output
    output.write_text(draw(), encoding="utf-8")
    print(output)


if __name__ == "__main__":
    main()
