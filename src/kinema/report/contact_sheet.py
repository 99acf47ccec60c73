"""A contact sheet: clips before and after the pipeline, as one HTML file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinema.report.document import escaped, write_document
from kinema.report.strips import strip_jpeg

_FRAME_WIDTH = 112  # pixels; of all frames, so that a frame before the pipeline stands above the one after it

_STYLE = """
body { max-width: 68rem; }
details { margin: .8rem 0 1.6rem; } summary { cursor: pointer; } details ol { font: .82rem/1.6 ui-monospace, monospace; overflow-wrap: anywhere; }
article { border: 1px solid #8884; border-radius: .7rem; padding: .8rem 1rem 1rem; margin: 1.1rem 0; }
article.broken { border-color: #dc2626; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem .8rem; }
header h2 { font-size: 1.05rem; margin: 0; } header code { font-size: .85rem; opacity: .8; overflow-wrap: anywhere; }
.class { background: #2563eb; color: white; border-radius: 1rem; padding: .05rem .7rem; font-size: .9rem; font-weight: 600; }
.facts, .caption { font-size: .82rem; opacity: .75; } .facts { margin: .15rem 0 0; }
.error { color: #dc2626; margin: .6rem 0 0; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { .error { color: #f87171; } article.broken { border-color: #f87171; } }
.version { margin-top: .8rem; } .version h3 { font-size: .9rem; margin: 0 0 .2rem; } .version h3 span { font-weight: normal; margin-left: .5rem; }
figure { margin: .25rem 0 0; display: grid; grid-template-columns: 5.2rem minmax(0, 1fr); align-items: center; gap: .6rem; }
figcaption { font-size: .8rem; line-height: 1.25; opacity: .75; text-align: right; }
.film { position: relative; display: inline-block; max-width: 100%; line-height: 0; border-radius: .3rem; overflow: hidden; }
.film img { max-width: 100%; height: auto; cursor: zoom-in; }
.film::after { content: ''; position: absolute; inset: 0; pointer-events: none;
  background: repeating-linear-gradient(to right, transparent 0 calc(100%/var(--n) - 2px), Canvas 0 calc(100%/var(--n))); }
.film:focus-within { outline: 2px solid #2563eb; outline-offset: 2px; }
.numbers { display: grid; max-width: 100%; font-size: .75rem; opacity: .75; text-align: center; }
#player { position: fixed; display: none; border: 3px solid Canvas; border-radius: .5rem; box-shadow: 0 4px 24px #000a; pointer-events: none; z-index: 9; }
"""

# A strip that is pointed at, or has the focus, plays in a larger box above it.
_SCRIPT = """
const box = document.getElementById('player'); let timer;
function stop() { clearInterval(timer); box.style.display = 'none'; }
function play(event) {
  const strip = event.target, count = +strip.dataset.frames, place = strip.getBoundingClientRect();
  stop();
  const height = Math.min(260, innerHeight / 2), width = strip.naturalWidth / count * height / strip.naturalHeight;
  const above = place.top > height + 12;
  Object.assign(box.style, { display: 'block', width: width + 'px', height: height + 'px', left: place.left + 'px',
    top: (above ? place.top - height - 10 : place.bottom + 4) + 'px',
    backgroundImage: `url(${strip.src})`, backgroundSize: `${count * 100}% 100%` });
  let frame = 0;
  const show = () => { box.style.backgroundPositionX = -(frame++ % count) * width + 'px'; };
  show(); timer = setInterval(show, 140);
}
for (const strip of document.querySelectorAll('.film img')) {
  for (const name of ['mouseenter', 'focus']) strip.addEventListener(name, play);
  for (const name of ['mouseleave', 'blur']) strip.addEventListener(name, stop);
}
addEventListener('scroll', stop);
"""


@dataclass(frozen=True)
class Strip:
    """Frames beside each other.

    Attributes:
        frames: (H, W, 3) uint8 RGB, or (H, W) grey, each.
        caption: what they are, in a few words.
        numbers: of the frames, to stand below each; may be empty.
    """

    frames: Sequence[np.ndarray]
    caption: str
    numbers: Sequence[int] = ()


@dataclass(frozen=True)
class Version:
    """What one run of the pipeline made of a clip.

    Attributes:
        title: which run.
        facts: what is to be known of it.
        before: frames as decoded; None where they cannot be told, or are those of the version before.
        after: frames that reach the model, a strip a view.
    """

    title: str
    facts: str
    before: Strip | None
    after: Sequence[Strip]


@dataclass(frozen=True)
class SheetClip:
    """A clip of the sheet.

    Attributes:
        name: of its file.
        classes: names of its classes, as they are to be shown.
        facts: what is to be known of the video.
        versions: of the clip.
        error: what is wrong with it.
    """

    name: str
    classes: Sequence[str]
    facts: str
    versions: Sequence[Version] = ()
    error: str | None = None


def write_contact_sheet(path: Path, *, title: str, note: str, steps: Sequence[str], clips: Sequence[SheetClip]) -> Path:
    """Write the sheet.

    Args:
        path: of the HTML file.
        title: heading.
        note: a sentence below it.
        steps: of the pipeline, to read.
        clips: in the order to show.

    Returns:
        `path`.
    """
    listed = "".join(f"<li>{escaped(step)}</li>" for step in steps)
    body = [
        f"<h1>{escaped(title)}</h1><p class='note'>{escaped(note)}</p>",
        f"<details><summary>the pipeline: {len(steps)} steps</summary><ol>{listed}</ol></details>" if steps else "",
        *map(_clip, clips),
        f"<div id='player' aria-hidden='true'></div><script>{_SCRIPT}</script>",
    ]
    return write_document(path, title=title, style=_STYLE, body="".join(body))


def _clip(clip: SheetClip) -> str:
    classes = "".join(f"<span class='class'>{escaped(name)}</span>" for name in clip.classes)
    head = f"<header>{classes}<h2><code>{escaped(clip.name)}</code></h2></header>"
    facts = f"<p class='facts'>{escaped(clip.facts)}</p>" if clip.facts else ""
    error = "" if clip.error is None else f"<p class='error'><b>broken:</b> {escaped(clip.error)}</p>"
    kind = "" if clip.error is None else " class='broken'"
    versions = "".join(_version(one, clip.name) for one in clip.versions)
    return f"<article{kind}>{head}{facts}{error}{versions}</article>"


def _version(version: Version, name: str) -> str:
    before = "" if version.before is None else _strip(version.before, name)
    after = "".join(_strip(one, name) for one in version.after)
    head = f"<h3>{escaped(version.title)} <span class='caption'>{escaped(version.facts)}</span></h3>"
    return f"<section class='version'>{head}{before}{after}</section>"


def _strip(strip: Strip, name: str) -> str:
    content, width, height = strip_jpeg(strip.frames, _FRAME_WIDTH)
    count = len(strip.frames)
    cells = "".join(f"<span>{number}</span>" for number in strip.numbers)
    numbers = f"<div class='numbers' style='width:{width}px;grid-template-columns:repeat({count},1fr)'>{cells}</div>"
    alt = escaped(f"{name}, {strip.caption}: {count} frames")
    return (
        f"<figure><figcaption>{escaped(strip.caption)}</figcaption><div><span class='film' style='--n:{count}'>"
        f"<img src='data:image/jpeg;base64,{content}' width='{width}' height='{height}' data-frames='{count}' tabindex='0' alt='{alt}'>"
        f"</span>{numbers if strip.numbers else ''}</div></figure>"
    )
