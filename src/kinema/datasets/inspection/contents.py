"""What the clips themselves show of a data set: copies, the same scene in both parts, facts that tell the class."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from kinema.datasets.annotations import Annotations, Split
from kinema.datasets.inspection.clip_facts import ClipFacts
from kinema.datasets.inspection.near_duplicates import copies, similar_pairs
from kinema.datasets.inspection.problems import SHOWN, Problem, clips_in_words, examples_of
from kinema.datasets.inspection.shortcuts import Shortcut, find_shortcuts
from kinema.printable import plural

MOST_COMPARED = 5000  # files whose contents are compared
MOST_IN_SHORTCUTS = 600  # clips
MOST_OVERRUN = 0.5  # seconds; programs of annotation round
LEAST_ALIKE = 0.02  # share of the validation clips
SURELY_ALIKE = 0.03  # share of differing bits


def content_problems(
    splits: Mapping[str, Split],
    facts: Mapping[str, ClipFacts],
    classes: Sequence[str],
    group_of: Callable[[str], str],
) -> Iterator[Problem]:
    """Problems that only the files show.

    Args:
        splits: the parts by name: "train" and "val", or "all".
        facts: what was seen of each.
        classes: names by class index.
        group_of: from a clip's path to the video that it was cut from.
    """
    for name, split in splits.items():
        yield from _past_the_end(name, split, facts[name])
    yield from _copies(splits)
    if "val" in splits:
        yield from _same_scenes(splits, facts)
    name = next(iter(splits))
    yield from _shortcuts(splits[name].annotations, facts[name], group_of)


def _past_the_end(name: str, split: Split, facts: ClipFacts) -> Iterator[Problem]:
    places = facts.places[facts.overruns > MOST_OVERRUN]
    if len(places):
        message = (
            f"{name}: {clips_in_words(len(places))} of {_compared(len(facts), facts.num_clips)} looked at end up to"
            f" {facts.overruns.max():.1f} s behind the end of their video: are the times in seconds, and of this file?"
            " What is there of them is used"
        )
        yield Problem("past the end", len(places), message, examples_of(split.annotations, places))


def _copies(splits: Mapping[str, Split]) -> Iterator[Problem]:
    """Files of one content under several names: within the parts, and on both sides."""
    owners: list[tuple[str, int]] = []
    for name, split in splits.items():
        if split.shards is None and split.annotations.total_frames is None:
            owners += [(name, place) for place in range(len(split.annotations))]
    step = -(-len(owners) // MOST_COMPARED) or 1
    owners = owners[::step]
    groups = copies([splits[name].video_root / splits[name].annotations.paths[place] for name, place in owners])
    sampled = "" if step == 1 else f" (of {len(owners)} files compared)"
    across: list[str] = []
    within: list[str] = []
    otherwise: list[str] = []
    for group in groups:
        members = [owners[number] for number in group]
        text = " = ".join(splits[name].annotations.paths[place] for name, place in members[:3])
        (across if len({name for name, _ in members}) > 1 else within).append(text)
        if len({splits[name].annotations.labels.of(place) for name, place in members}) > 1:
            otherwise.append(text)
    if across:
        message = f"{plural(len(across), 'video')} under other names in train and in val: accuracy on val will be too"
        yield Problem("copy in both parts", len(across), f"{message} good{sampled}", tuple(across[:SHOWN]))
    if within:
        message = f"{plural(len(within), 'video')} with copies under other names, each of which counts{sampled}"
        yield Problem("copy", len(within), message, tuple(within[:SHOWN]))
    if otherwise:
        message = f"{plural(len(otherwise), 'video')} with copies of another class{sampled}"
        yield Problem("contradicting copy", len(otherwise), message, tuple(otherwise[:SHOWN]))


def _same_scenes(splits: Mapping[str, Split], facts: Mapping[str, ClipFacts]) -> Iterator[Problem]:
    train, val = facts["train"], facts["val"]
    if not (len(train) and len(val) and train.bits.size and val.bits.size):
        return
    pairs = similar_pairs((train.bits, train.known), (val.bits, val.known))
    if len(pairs) < max(2, LEAST_ALIKE * len(val)) and not (pairs and pairs[0].difference <= SURELY_ALIKE):
        return  # of thousands of pairs some are alike by chance
    examples = tuple(
        f"{splits['val'].annotations.paths[val.places[pair.second]]} ~"
        f" {splits['train'].annotations.paths[train.places[pair.first]]}"
        for pair in pairs[:SHOWN]
    )
    message = (
        f"{len(pairs)} of {clips_in_words(len(val))} of val look almost like a clip of train: cut from one recording,"
        " or of one camera; accuracy on val is then that of scenes the network knows"
        f" ({_compared(len(train), train.num_clips)} x {_compared(len(val), val.num_clips)} clips compared)"
    )
    yield Problem("same scene in both parts", len(pairs), message, examples)


def _compared(count: int, total: int) -> str:
    return str(count) if count == total else f"{count} of {total}"


def _shortcuts(clips: Annotations, facts: ClipFacts, group_of: Callable[[str], str]) -> Iterator[Problem]:
    telling = [shortcut for shortcut in shortcuts_of(clips, facts, group_of) if shortcut.tells]
    if not telling:
        return
    first, *others = telling
    also = "".join(f", the {shortcut.name} in {shortcut.accuracy:.0%}" for shortcut in others)
    message = (
        f"the {first.name} of a clip alone tells its class in {first.accuracy:.0%} of cases{also} (chance:"
        f" {first.chance:.0%}): the network may learn that in place of the action; give the classes clips that are"
        " alike in it"
    )
    yield Problem("telling fact", len(telling), message)


def shortcuts_of(clips: Annotations, facts: ClipFacts, group_of: Callable[[str], str]) -> list[Shortcut]:
    """What durations, sizes and rates tell of the class; of clips with one label each."""
    if not len(facts) or (clips.labels.counts() != 1).any():
        return []
    chosen = np.unique(np.linspace(0, len(facts) - 1, min(len(facts), MOST_IN_SHORTCUTS)).astype(int))
    places = facts.places[chosen]
    numbers = {
        "duration": np.log(np.maximum(facts.seconds, 1e-3)),
        "frame rate": facts.fps,
        "frame size": np.log(np.maximum(facts.widths * facts.heights, 1)),
        "shape of frames": np.log(np.maximum(facts.widths, 1) / np.maximum(facts.heights, 1)),
        "bit rate": np.log(np.maximum(facts.num_bytes, 1) / np.maximum(facts.seconds, 1e-3)),
    }
    if clips.clip_starts is not None:  # the bytes of a file are not those of its part
        del numbers["bit rate"]
    sources = [group_of(clips.paths[place]) for place in places.tolist()]
    return find_shortcuts(
        {name: values[chosen] for name, values in numbers.items()}, clips.labels.values[places], sources
    )
