"""Options of the commands that decide when a class is there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from kinema.inference.decisions import DecisionSettings

SMOOTHING_KINDS = ("mean", "median", "gaussian")

Window = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Length of a window; default: what the model saw of a clip in training."),
]
Stride = Annotated[float | None, typer.Option(metavar="SECONDS", help="From window to window; default: half a window.")]
Threshold = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold",
        metavar="X | CLASS=X",
        help=(
            "Score from which a class is there: of all classes, or of one; may be repeated. Default: the tuned"
            " thresholds of the checkpoint (`kinema train`, `kinema tune`)."
        ),
    ),
]
Best = Annotated[
    bool | None,
    typer.Option(
        "--best/--each",
        help=(
            "--best: at each moment the class with the highest score, if it reaches its threshold. --each: every class"
            " that reaches its threshold, also when another has a higher score. Default: --best for a model that"
            " chooses one class, --each for one of several labels."
        ),
    ),
]
Hysteresis = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="A class that is there stays until its score falls by this share below what it takes to enter, as 0.2.",
    ),
]
Smooth = Annotated[
    str | None,
    typer.Option(
        metavar="[KIND:]SECONDS",
        help=(
            "Average the scores over so many seconds around each moment. median:SECONDS and gaussian:SECONDS take the"
            " median, or weights of a bell, in the place of the mean."
        ),
    ),
]
MinDuration = Annotated[float | None, typer.Option(metavar="SECONDS", help="Leave out segments that are shorter.")]
MergeGap = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Join segments of a class with a shorter gap between them.")
]
Classes = Annotated[
    list[str] | None,
    typer.Option("--classes", metavar="A,B,...", help="Classes to report; the others still compete for --best."),
]
Background = Annotated[
    list[str] | None,
    typer.Option("--background", metavar="A,B,...", help="Classes that are never reported, such as 'nothing'."),
]


@dataclass(frozen=True, kw_only=True)
class DecisionOptions:
    """What the options of a command say; None: nothing.

    Attributes:
        threshold: score from which a class is there.
        thresholds: by class name.
        best: see `Best`.
        hysteresis: see there, as all that follows.
        smooth: see there.
        smoothing: its kind.
        min_duration: see there.
        merge_gap: see there.
        classes: values of the option, not yet split into names.
        background: likewise.
    """

    threshold: float | None
    thresholds: dict[str, float]
    best: bool | None
    hysteresis: float | None
    smooth: float | None
    smoothing: str | None
    min_duration: float | None
    merge_gap: float | None
    classes: tuple[str, ...]
    background: tuple[str, ...]

    @classmethod
    def parsed(
        cls,
        threshold: Sequence[str] | None,
        *,
        best: bool | None,
        hysteresis: float | None,
        smooth: str | None,
        min_duration: float | None,
        merge_gap: float | None,
        classes: Sequence[str] | None,
        background: Sequence[str] | None,
    ) -> "DecisionOptions":
        """The values of the options, checked as far as that needs no class names.

        Raises:
            BadParameter: a value is out of its range.
        """
        default, thresholds = _thresholds(threshold or ())
        smoothing, seconds = _smoothing(smooth)
        options = cls(
            threshold=default,
            thresholds=thresholds,
            best=best,
            hysteresis=hysteresis,
            smooth=seconds,
            smoothing=smoothing,
            min_duration=min_duration,
            merge_gap=merge_gap,
            classes=tuple(classes or ()),
            background=tuple(background or ()),
        )
        names = {"--smooth": seconds, "--min-duration": min_duration, "--merge-gap": merge_gap}
        for name, value in names.items():
            if value is not None and not 0 <= value < float("inf"):
                raise typer.BadParameter(f"expected 0 or more seconds, got {value}", param_hint=name)
        if hysteresis is not None and not 0 <= hysteresis < 1:
            raise typer.BadParameter(f"expected a share from 0 to below 1, got {hysteresis}", param_hint="--hysteresis")
        return options

    def settings(self, model: "DecisionSettings", classes: Sequence[str]) -> "DecisionSettings":
        """The settings of a model, changed by the options.

        Args:
            model: what suits the model.
            classes: names of the model.

        Raises:
            BadParameter: there is no class of a name.
        """
        changes: dict[str, Any] = {
            "hysteresis": self.hysteresis,
            "smoothing_seconds": self.smooth,
            "smoothing": self.smoothing,
            "min_seconds": self.min_duration,
            "merge_seconds": self.merge_gap,
            "classes": _names(self.classes, classes) or None,
            "background": _names(self.background, classes) or None,
        }
        settings = replace(model, **{name: value for name, value in changes.items() if value is not None})
        if self.threshold is not None:
            settings = replace(settings, threshold=self.threshold, thresholds={})
        if self.thresholds:
            settings = replace(settings, thresholds={**settings.thresholds, **self.thresholds})
        if self.best is not None:
            settings = replace(settings, best_only=self.best)
        try:
            settings.check(classes)
        except ValueError as error:
            raise typer.BadParameter(str(error).partition(": ")[2], param_hint=f"--{_option_of(error)}") from error
        return settings


def _option_of(error: ValueError) -> str:
    field = str(error).partition(":")[0]
    return "threshold" if field == "thresholds" else field


def _smoothing(text: str | None) -> tuple[str | None, float | None]:
    """Kind and seconds: "median:2" -> ("median", 2.0)."""
    if text is None:
        return None, None
    kind, _, number = text.rpartition(":")
    try:
        seconds = float(number)
    except ValueError:
        seconds = -1.0
    if kind not in ("", *SMOOTHING_KINDS) or seconds < 0:
        raise typer.BadParameter(
            f"expected 0 or more seconds, as in 1.5, or {' or '.join(f'{kind}:1.5' for kind in SMOOTHING_KINDS)},"
            f" got {text!r}",
            param_hint="--smooth",
        )
    return kind or None, seconds


def _thresholds(values: Sequence[str]) -> tuple[float | None, dict[str, float]]:
    default, thresholds = None, {}
    for text in values:
        label, equals, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1 or (equals and not label):
            raise typer.BadParameter(
                f"expected a score from 0 to 1, or CLASS=SCORE, got {text!r}", param_hint="--threshold"
            )
        if equals:
            thresholds[label] = value
        elif default is not None:
            raise typer.BadParameter(
                f"got two scores for all classes, {default:g} and {text}", param_hint="--threshold"
            )
        else:
            default = value
    return default, thresholds


def _names(values: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    """Names between commas; a whole value that is a class is that class, for names may hold commas."""
    names: list[str] = []
    for text in values:
        names += [text] if text in classes else [name.strip() for name in text.split(",") if name.strip()]
    return tuple(dict.fromkeys(names))
