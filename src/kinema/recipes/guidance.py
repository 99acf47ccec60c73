"""What a user should know before a training: what the data holds, what is wrong with it, what was chosen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from kinema.datasets.inspection.survey import DatasetSurvey, survey_splits
from kinema.recipes.classification import in_words
from kinema.recipes.clips import TrainingClips
from kinema.recipes.trial import Trial

LOOKED_AT = 200  # clips of each part
LOOKING_SECONDS = 6.0  # for each part
MOST_BROKEN = 0.05  # share of the clips from which on a training stops
_BROKEN = ("missing file", "unreadable video")


@dataclass(frozen=True)
class Guide:
    """What is known before a training.

    Attributes:
        survey: what the data holds, with its problems.
        split: how the clips to train and to validate on came to be.
        plan: what was chosen: `model`, `sees`, `frame`, `epochs`, `batch_size`, ...
        warnings: what a user should know, a sentence each.
        trial: what a few steps showed; None: there were none.
    """

    survey: DatasetSurvey
    split: str
    plan: dict[str, Any]
    warnings: tuple[str, ...]
    trial: Trial | None = None

    def as_dict(self) -> dict[str, Any]:
        """In plain values, as `summary.json` holds it under `guide`."""
        return {**asdict(self), "stops": self.stops}

    @property
    def stops(self) -> str | None:
        """What would stop a training; None: nothing that was seen."""
        for part in self.survey.parts:
            broken = [
                problem
                for problem in self.survey.problems
                if problem.kind in _BROKEN and problem.message.startswith(f"{part.name}:")
            ]
            of = {_BROKEN[0]: part.num_clips, _BROKEN[1]: part.num_probed}
            shares = [problem.count / max(of[problem.kind], 1) for problem in broken]
            if sum(shares) > MOST_BROKEN and sum(problem.count for problem in broken) > 1:
                return "; ".join(in_words(problem) for problem in broken)
        return None


def guide(clips: TrainingClips, config: Mapping[str, Any], *, seen: Callable[[], object] = lambda: None) -> Guide:
    """Look over the clips of a training.

    Args:
        clips: as `read_clips` gives them.
        config: of the training, as `classification` makes it of them.
        seen: called after each clip that was opened.
    """
    survey = look_over(clips, seen=seen)
    plan = plan_of(config)
    of_plan = tuple(plan.pop("warnings", ()))
    further = [sentence for sentence in map(in_words, survey.problems) if sentence not in of_plan]
    return Guide(survey, clips.how, plan, (*clips.layout.notes, *clips.doubts, *of_plan, *further))


def with_trial(guide: Guide, trial: Trial) -> Guide:
    """A guide with the figures of a trial, and what they warn of."""
    warnings = list(guide.warnings)
    if trial.limited_by == "reading":
        advice = "" if guide.plan.get("prepared") else "`--prepare` re-encodes them once, small and quick to read; "
        times = trial.read_seconds / max(trial.step_seconds, 1e-9)
        warnings.append(
            f"reading limits this training: the clips of a step take {times:.1f} times as long to read as to compute"
            f" ({advice}`kinema bench data` shows where the time goes)"
        )
    if trial.is_tight:
        warnings.append(
            f"this may need more memory than there is: {trial.memory_bytes / 2**30:.1f} GiB of"
            f" {(trial.available_bytes or 0) / 2**30:.1f} GiB; `--batch-size {max(1, trial.batch_size // 2)}` needs"
            " about half"
        )
    return replace(guide, warnings=tuple(warnings), trial=trial)


def look_over(clips: TrainingClips, *, seen: Callable[[], object] = lambda: None) -> DatasetSurvey:
    """Survey the clips of a training as it splits them."""
    layout = clips.layout
    if layout.val is None and layout.train.shards is not None:
        splits = {"all": layout.train}  # a video lies in a tar file by its place among all clips
    else:
        splits = {
            "train": replace(layout.train, annotations=clips.train),
            "val": replace(clips.val_split, annotations=clips.val),
        }
    return survey_splits(
        splits,
        clips.classes,
        layout.description,
        layout.notes,
        num_probed=LOOKED_AT,
        pictures=True,
        seconds=LOOKING_SECONDS,
        seen=seen,
    )


def as_set(guide: Guide, before: Mapping[str, Any], config: Mapping[str, Any]) -> Guide:
    """A guide whose plan is that of a config which settings have changed since; the config notes it, too.

    Args:
        guide: of the config as it was.
        before: `views_of` that config.
        config: as it is now.
    """
    now = views_of(config)
    changes = {key: text for key, text in now.items() if text != before[key] and text is not None}
    changes["epochs"] = config["train_cfg"].get("max_epochs", guide.plan.get("epochs"))
    changes["batch_size"] = config["train_dataloader"].get("batch_size", guide.plan.get("batch_size"))
    for hook in config.get("custom_hooks") or ():
        if hook.get("type") == "SummaryNotesHook" and "data" in hook["notes"]:
            hook["notes"]["data"].update(changes)
    return replace(guide, plan={**guide.plan, **changes})


def views_of(config: Mapping[str, Any]) -> dict[str, str | None]:
    """What a model `sees` of a clip and of a `frame`, as the steps of validation say; None: they do not."""
    sees = frame = None
    for step in config["val_dataloader"]["dataset"].get("pipeline") or ():
        if "clip_len" in step:
            apart = f", {step['frame_interval']} apart" if "frame_interval" in step else " over the whole clip"
            sees = f"{step['clip_len'] * step.get('num_clips', 1)} frames{apart}"
        size = step.get("scale") if step.get("keep_ratio") is False else step.get("crop_size", step.get("size"))
        if size is not None:
            width, height = size if isinstance(size, Sequence) else (size, size)
            frame = f"frames of {width} x {height} pixels"
    return {"sees": sees, "frame": frame}


def clips_to_look_at(clips: TrainingClips) -> int:
    """How many clips `look_over` opens, where there is time for all."""
    return sum(min(len(part), LOOKED_AT) for part in (clips.train, clips.val))


def plan_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe has chosen, as its config notes it for `summary.json`; empty for other configs."""
    for hook in config.get("custom_hooks") or ():
        if hook.get("type") == "SummaryNotesHook":
            return dict(hook["notes"].get("data", {}))
    return {}
