"""The model card of a saved model: a README that people and model hubs read.

Names in it come from folders and configs. Whatever they hold is shown as text, never as Markdown or
HTML.
"""

import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kinema import __version__
from kinema.printable import printable

CARD_FILE = "README.md"
_MOST_CLASSES = 60
_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|~$^=])")


def _text(value: object) -> str:
    """`value` so that Markdown and HTML show it as it is, on one line."""
    if isinstance(value, list | tuple) and all(isinstance(number, int | float) for number in value):
        return str(list(value))
    return _MARKS.sub(r"\\\1", html.escape(printable(value), quote=False))


def _code(value: object) -> str:
    """The same as code: nothing can end it."""
    return f"`{html.escape(printable(value), quote=False).replace('`', chr(39))}`"


def model_card(name: str, config: Mapping[str, Any], parameters: int) -> str:
    """The text of the card, Markdown with the head that the Hugging Face Hub reads.

    Args:
        name: of the model.
        config: the contract as `config.json` holds it; what it lacks is left out.
        parameters: number of parameters.
    """
    model = config.get("model") or {}
    head = [
        "---",
        "library_name: kinema",
        "pipeline_tag: video-classification",
        "tags: [video, action-recognition]",
        "---",
    ]
    parts = [
        "\n".join(head),
        f"# {_text(name)}",
        _what(model, parameters, config),
        _use(name),
        _input(config.get("sampling") or (), model.get("data_preprocessor") or {}),
        _metrics(config.get("metrics") or {}),
        _classes(config.get("classes") or ()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(model: Mapping[str, Any], parameters: int, config: Mapping[str, Any]) -> str:
    kinds = [str((model.get(part) or {}).get("type", "")) for part in ("backbone", "neck", "cls_head")]
    network = " with ".join(_text(kind) for kind in kinds if kind)
    zoo = f" ({_code(config['zoo_name'])})" if config.get("zoo_name") else ""
    version = config.get("kinema_version", __version__)
    return (
        f"A video action recognizer{zoo}: {network or 'a network'}, {parameters / 1e6:.2f} million parameters.\nSaved"
        f" by Kinema {_text(version)}."
    )


def _use(name: str) -> str:
    return f"""## Use

```python
import kinema

recognizer = kinema.load({json.dumps(printable(name))})  # this folder
print(recognizer.predict("video.mp4").label)
```"""


def _input(sampling: Sequence[Mapping[str, Any]], preprocessor: Mapping[str, Any]) -> str:
    step = next((step for step in sampling if "clip_len" in step or "num_clips" in step), None)
    lines = []
    if step is not None:
        numbers = {key: step[key] for key in step if key in ("clip_len", "frame_interval", "num_clips")}
        lines.append(
            f"- Frames: {', '.join(f'{key} {_text(number)}' for key, number in numbers.items())}"
            f" ({_text(step.get('type'))})"
        )
    if preprocessor.get("mean"):
        lines.append(
            f"- Colours: RGB, mean {_text(preprocessor['mean'])}, standard deviation {_text(preprocessor.get('std'))}"
        )
    return "## Input\n\n" + "\n".join(lines) if lines else ""


def _metrics(metrics: Mapping[str, Any]) -> str:
    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    rows = [f"| {_text(name)} | {value:.4f} |" for name, value in numbers.items()]
    return "## Measured in training's validation\n\n| metric | value |\n|---|---|\n" + "\n".join(rows) if rows else ""


def _classes(classes: Sequence[str]) -> str:
    if not classes:
        return ""
    more = f" and {len(classes) - _MOST_CLASSES} more, in `config.json`" if len(classes) > _MOST_CLASSES else ""
    return f"## Classes ({len(classes)})\n\n{', '.join(map(_text, classes[:_MOST_CLASSES]))}{more}"
