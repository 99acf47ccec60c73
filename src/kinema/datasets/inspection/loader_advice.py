"""What to change so that clips come faster, from what `profile_loader` measured."""

from collections.abc import Mapping

from kinema.datasets.inspection.loader_profile import EpochProfile, LoaderProfile, Stage

_LARGE_SHARE = 0.3  # of the time of a clip: worth a sentence
_WAITING_CPU_SHARE = 0.5  # below it a step rather waits than computes
_WORTH_CHANGING = 1.1  # a rate so many times better is more than noise
_SPARSE = 2.0  # frames walked for one wanted, above which key frames are sparse
_LARGE_FRAMES = 1.5  # sides decoded over sides used, above which smaller videos pay
_COLD = 1.3  # first epoch over later ones, above which the disk shows


def advise(profile: LoaderProfile, *, num_cores: int, rates: Mapping[int, float] | None = None) -> list[str]:
    """Say what to change.

    Args:
        profile: what was measured.
        num_cores: cores that the loader may use.
        rates: clips a second by number of workers, where several were tried.

    Returns:
        Sentences; none when nothing stands out. First what makes the measurement itself doubtful.
    """
    warm = profile.epochs[-1]
    return [
        *_broken(profile),
        *_waiting(profile, num_cores),
        *_workers(profile, num_cores, rates or {}),
        *_decoding(profile, warm),
        *_transforms(warm),
        *_collating(warm),
    ]


def share_by_kind(epoch: EpochProfile) -> dict[str, float]:
    """Share of a clip's time, in [0, 1], of each kind of stage."""
    shares: dict[str, float] = {}
    for stage in epoch.stages:
        shares[stage.kind] = shares.get(stage.kind, 0.0) + share_of(stage, epoch)
    return shares


def share_of(stage: Stage, epoch: EpochProfile) -> float:
    """Share of a clip's time, in [0, 1], of one stage."""
    return stage.milliseconds / epoch.milliseconds if epoch.milliseconds else 0.0


def differs_when_cold(profile: LoaderProfile) -> bool:
    """Was the first pass over the clips clearly slower than the last?"""
    first, last = profile.epochs[0], profile.epochs[-1]
    return len(profile.epochs) > 1 and first.milliseconds > _COLD * last.milliseconds


def _broken(profile: LoaderProfile) -> list[str]:
    count = len(profile.broken)
    if not count:
        return []
    clips = "clip cannot be read, as" if count == 1 else "clips cannot be read, such as"
    return [f"{count} {clips} {next(iter(profile.broken))}: `kinema data check` lists all that are broken."]


def _workers(profile: LoaderProfile, num_cores: int, rates: Mapping[int, float]) -> list[str]:
    now = profile.num_workers
    option = "train_dataloader.num_workers"
    if rates:
        best = max(rates, key=lambda workers: rates[workers])
        here = rates.get(now, profile.epochs[-1].clips_per_second)
        if best != now and rates[best] > _WORTH_CHANGING * here:
            return [f"num_workers={best} gives {rates[best]:.1f} clips/s, {now} gives {here:.1f}: set {option}={best}."]
        return []
    if now == 0:
        return [
            "No workers: the training process reads the clips itself and the model waits meanwhile. Set"
            f" {option}={num_cores}."
        ]
    if now < num_cores:
        return [
            f"{now} of {num_cores} cores read clips: try {option}={num_cores}, or --sweep to see what each number"
            " gives."
        ]
    if now > num_cores:
        return [
            f"{now} workers share {num_cores} cores: fewer take less memory and may be as fast. --sweep shows it; "
            "more than the cores only pay where clips come from a slow disk or network."
        ]
    return []


def _decoding(profile: LoaderProfile, epoch: EpochProfile) -> list[str]:
    by_kind = share_by_kind(epoch)
    resizing = sum(share_of(stage, epoch) for stage in epoch.stages if _is_resizing(stage))
    share = by_kind.get("open", 0.0) + by_kind.get("decode", 0.0)
    if share + resizing < _LARGE_SHARE:
        return []
    facts = profile.frames
    reasons, options = [], ""
    if facts is not None and share >= _LARGE_SHARE and facts.num_walked > _SPARSE * facts.num_wanted:
        reasons.append(
            f"key frames are sparse, so that the decoder goes through {facts.num_walked:.0f} frames to give "
            f"{facts.num_wanted:.0f}"
        )
    if facts is not None and facts.decoded_short_side > _LARGE_FRAMES * facts.used_short_side > 0:
        reasons.append(
            f"frames are decoded with a short side of {facts.decoded_short_side:.0f} pixels and made "
            f"{facts.used_short_side:.0f}"
        )
        options = f" --short-side {facts.used_short_side:.0f}"
    what = "Opening and decoding take" if share >= resizing else "Resizing takes"
    begin = f"{what} {max(share, resizing):.0%} of the time"
    if reasons:
        return [
            f"{begin}: {'; '.join(reasons)}. `kinema data prepare SRC DST{options}` re-encodes the clips for training,"
            " once."
        ]
    if share >= _LARGE_SHARE:
        return [f"{begin}: only more cores or fewer frames a clip help; key frames and sizes are good as they are."]
    return [f"{begin}: smaller frames help, `kinema data prepare SRC DST --short-side N` makes them once."]


def _is_resizing(stage: Stage) -> bool:
    return stage.kind == "transform" and "resize" in stage.name.lower()


def _transforms(epoch: EpochProfile) -> list[str]:
    advice = []
    for stage in sorted(epoch.stages, key=lambda stage: -stage.milliseconds):
        share = share_of(stage, epoch)
        if stage.kind != "transform" or _is_resizing(stage) or share < _LARGE_SHARE:
            continue
        if stage.cpu_share < _WAITING_CPU_SHARE:
            advice.append(
                f"{stage.name} takes {share:.0%} of the time but uses the processor for {stage.cpu_share:.0%} of it: "
                "it waits for something; do that work once, before training."
            )
        else:
            advice.append(
                f"{stage.name} takes {share:.0%} of the time: put it behind the crop, where frames are smaller, "
                "apply it less often, or do without."
            )
    return advice


def _collating(epoch: EpochProfile) -> list[str]:
    share = share_by_kind(epoch).get("collate", 0.0)
    if share < _LARGE_SHARE:
        return []
    return [f"Collating takes {share:.0%} of the time: hand over uint8 frames, not float ones, or smaller batches."]


def _waiting(profile: LoaderProfile, num_cores: int) -> list[str]:
    """Of reading and decoding, which should keep a core busy."""
    if profile.num_workers > num_cores:
        return []
    first, last = _waited(profile.epochs[0]), _waited(profile.epochs[-1])
    total = profile.epochs[-1].milliseconds
    advice = []
    if len(profile.epochs) > 1 and first - last > (_COLD - 1) * total:
        advice.append(
            f"In the first epoch a clip waited {first:.1f} ms while it was opened and decoded, in the last {last:.1f}:"
            " files come from the disk first and from memory later. Where they do not all fit into memory, every epoch"
            " is like the first: a faster disk or smaller files help."
        )
    if last > _LARGE_SHARE * total:
        advice.append(
            f"Opening and decoding waited for {last / total:.0%} of the time: other programs use the cores, or the disk"
            " is slow. These numbers hold for a machine as busy as it is now."
        )
    return advice


def _waited(epoch: EpochProfile) -> float:
    """Milliseconds a clip in which opening and decoding did not compute."""
    stages = [stage for stage in epoch.stages if stage.kind in ("open", "decode")]
    return sum(stage.milliseconds * max(1.0 - stage.cpu_share, 0.0) for stage in stages)
