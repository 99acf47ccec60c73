"""Which clips come from the same source video, and splits with no source video on both sides."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from kinema.datasets.annotations.delimited import read_csv_rows
from kinema.datasets.annotations.records import Annotations
from kinema.errors import AnnotationError

# Names whose first group is the source video: v_YoYo_g01_c04 (UCF101), id_000010_000020 (Kinetics),
# talk-Scene-003, talk_clip3, talk-part2.
_SOURCE_NAMES = (
    re.compile(r"(v_.+_g\d+)_c\d+"),
    re.compile(r"(.+)_\d{6}_\d{6}"),
    re.compile(r"(.+)-Scene-\d+"),
    re.compile(r"(.+)[_-](?:clip|part)\d+"),
)


def source_video_of(path: str) -> str:
    """What names the video that a clip was cut from: part of its name where that has a known form, else its path.

    Args:
        path: of the clip; parts of one file have one path and so one source.
    """
    name = path.rstrip("/").rpartition("/")[2]  # in a third of the time of pathlib
    front, _, suffix = name.rpartition(".")
    stem = front if front and suffix else name
    matches = (form.fullmatch(stem) for form in _SOURCE_NAMES)
    return next((match[1] for match in matches if match is not None), path)


def group_by_pattern(pattern: str) -> Callable[[str], str]:
    """A function from a path to what `pattern` finds in it (its first group, where it has one), or to the path.

    Raises:
        ValueError: `pattern` is no regular expression.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"expected a regular expression, got {pattern!r}: {error}") from error

    def group_of(path: str) -> str:
        match = expression.search(path)
        if match is None:
            return path
        return match[1] if expression.groups and match[1] is not None else match[0]

    return group_of


def group_by_column(annotations: Annotations, column: str) -> Callable[[str], str]:
    """A function from a clip's path to what a column of its table holds, such as the person.

    Where that is empty, it gives the path.

    Args:
        annotations: read from a table with a header.
        column: its name; where parts of one video differ in it, the first counts for all of them.

    Raises:
        AnnotationError: the annotations are no such table, or it has no such column.
    """
    source = annotations.source
    if annotations.lines is None or annotations.format not in ("csv", "kinetics"):
        raise AnnotationError(
            f"{source}: has no column {column!r}: expected a table with a header (.csv, .tsv), not"
            f" '{annotations.format}'"
        )
    header, rows = read_csv_rows(source)
    if column not in header:
        raise AnnotationError(
            f"{source}: there is no column {column!r}: the columns are {', '.join(map(repr, header))}"
        )
    values = {line: row[column].strip() for line, row in rows}
    groups: dict[str, str] = {}
    for path, line in zip(annotations.paths, annotations.lines.tolist(), strict=True):
        groups.setdefault(path, values[line] or path)
    return groups.__getitem__


def split_by_group(
    annotations: Annotations,
    share: float = 0.2,
    seed: int = 0,
    *,
    group_of: Callable[[str], str] | None = source_video_of,
) -> tuple[Annotations, Annotations]:
    """Part clips in two, about class by class; all clips of a group lie on one side.

    Groups are taken in an order that their names and `seed` alone decide, as long as they fill what
    a class lacks and leave it some. A group of several classes goes where most of its clips are
    needed.

    Args:
        annotations: labelled clips.
        share: of each class's clips to hold out, rounded, at least one of a class with two groups.
        seed: another seed holds out other clips.
        group_of: from a clip's path to its group; default: its source video; None: each clip by
            itself, also those of one file.

    Returns:
        The clips to train on, and those held out; each in the order of `annotations`.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for place, path in enumerate(annotations.paths):
        members[f"{path}:{place}" if group_of is None else group_of(path)].append(place)
    classes = {
        name: Counter(label for place in own for label in annotations.labels.of(place)) for name, own in members.items()
    }
    held = _choose_groups(classes, share, seed)
    is_held = np.zeros(len(annotations), dtype=bool)
    is_held[[place for group in held for place in members[group]]] = True
    return annotations.take(np.flatnonzero(~is_held)), annotations.take(np.flatnonzero(is_held))


def _choose_groups(classes: dict[str, Counter[int]], share: float, seed: int) -> set[str]:
    """The groups to hold out; `classes` are the numbers of clips of each class by group."""
    left: Counter[int] = Counter()
    for own in classes.values():
        left.update(own)
    lacking = {label: max(round(count * share), 1) for label, count in left.items()}
    held: set[str] = set()

    def hold(group: str) -> None:
        own = classes[group]
        if all(count < left[label] for label, count in own.items()):  # else it is all that there is of a class
            held.add(group)
            left.subtract(own)
            for label, count in own.items():
                lacking[label] -= count

    order = sorted(classes, key=lambda name: rank_of(name, seed))
    for group in order:
        useful = sum(min(count, max(lacking[label], 0)) for label, count in classes[group].items())
        if useful and 2 * useful >= classes[group].total():
            hold(group)
    # Where all groups of a class are too large for its share, one of the smallest is better than
    # none.
    reached = {label for group in held for label in classes[group]}
    for group in sorted(order, key=lambda name: classes[name].total()):
        if not reached.issuperset(classes[group]):
            hold(group)
            reached.update(classes[group] if group in held else ())
    return held


def split_by_fractions(
    annotations: Annotations,
    fractions: Sequence[float],
    seed: int = 0,
    *,
    group_of: Callable[[str], str] | None = source_video_of,
) -> tuple[Annotations, ...]:
    """Part clips in two or more, about class by class; all clips of a group lie in one part.

    The parts behind the first are held out one after the other, so the second is the same whether
    there is a third or not, and a class of few groups is rather in the second than in the third.
    See `split_by_group`.

    Args:
        annotations: labelled clips.
        fractions: of each part, all above 0; 8, 1, 1 is the same as 0.8, 0.1, 0.1.
        seed: another seed gives other parts.
        group_of: from a clip's path to its group; default: its source video; None: each clip by
            itself.

    Returns:
        The parts; each in the order of `annotations`.

    Raises:
        ValueError: there are fewer than two fractions, or one is not above 0.
    """
    if len(fractions) < 2 or not all(0 < fraction < np.inf for fraction in fractions):
        raise ValueError(f"expected two or more fractions above 0, such as 0.8, 0.1, 0.1, got {list(fractions)}")
    rest, left = annotations, float(sum(fractions))
    held = []
    for fraction in fractions[1:]:
        rest, part = split_by_group(rest, fraction / left, seed, group_of=group_of)
        held.append(part)
        left -= fraction
    return rest, *held


def folds_by_group(
    annotations: Annotations, count: int, seed: int = 0, *, group_of: Callable[[str], str] = source_video_of
) -> list[np.ndarray]:
    """Part clips in `count` parts of about equal size, class by class; all clips of a group lie in one part.

    The largest groups are dealt out first, each to the part that has the fewest clips of its
    classes.

    Args:
        annotations: labelled clips.
        count: parts.
        seed: another seed deals groups of equal size out in another order.
        group_of: from a clip's path to its group; default: its source video.

    Returns:
        Places of the clips of each part, ascending; a part is empty when there are fewer groups
        than parts.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for place, path in enumerate(annotations.paths):
        members[group_of(path)].append(place)
    of_class = np.zeros((count, 1 + int(annotations.labels.values.max(initial=0))), dtype=np.int64)
    sizes = np.zeros(count, dtype=np.int64)
    parts: list[list[int]] = [[] for _ in range(count)]
    for name in sorted(members, key=lambda name: (-len(members[name]), rank_of(name, seed))):
        own = members[name]
        labels = [label for place in own for label in annotations.labels.of(place)]
        part = min(range(count), key=lambda part: (int(of_class[part, labels].sum()), int(sizes[part]), part))
        parts[part] += own
        sizes[part] += len(own)
        np.add.at(of_class[part], labels, 1)
    return [np.array(sorted(part), dtype=np.int64) for part in parts]


def rank_of(text: str, seed: int) -> bytes:
    """A random but lasting place of `text` in an order: a hash of it and `seed`."""
    return hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogateescape")).digest()
