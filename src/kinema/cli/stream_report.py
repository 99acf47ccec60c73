"""What `kinema stream` prints, posts and records."""

import sys
from contextlib import closing
from datetime import datetime
from typing import Any

from kinema.cli.output import print_json, print_line, print_note
from kinema.errors import VideoError
from kinema.inference.decisions import Event
from kinema.inference.stream.recorder import EventRecorder
from kinema.inference.stream.stream import Stream
from kinema.inference.stream.updates import StreamFigures, StreamGap, StreamUpdate, StreamWindow
from kinema.inference.stream.watching import Watching
from kinema.inference.stream.webhook import Webhook
from kinema.printable import plural
from kinema.progress import format_seconds


class StreamReporter:
    """Carries what a stream gives to the terminal, a webhook and a folder of clips.

    Args:
        watching: the stream.
        as_json: print JSON lines.
        windows: print every window, too.
        webhook: gets each event.
        recorder: writes clips around events; it is closed at the end, as the webhook is.
    """

    def __init__(
        self,
        watching: Watching,
        *,
        as_json: bool,
        windows: bool,
        webhook: Webhook | None = None,
        recorder: EventRecorder | None = None,
    ) -> None:
        self._watching = watching
        self._as_json = as_json
        self._windows = windows
        self._webhook = webhook
        self._recorder = recorder
        self._classes: tuple[str, ...] = ()

    def start(self, source: str, checkpoint: str, stream: Stream) -> None:
        """Say what is watched."""
        self._classes = stream.recognizer.classes
        lengths = {"length_seconds": _rounded(stream.length_seconds), "stride_seconds": _rounded(stream.stride_seconds)}
        if self._as_json:
            value = {"type": "start", "source": source, "model": checkpoint, "classes": list(self._classes), **lengths}
            self._print(value, "")
        else:
            length, stride = f"{stream.length_seconds:.3g} s", f"{stream.stride_seconds:.3g} s"
            how = (
                f"scores every {stride}, of up to {length}"
                if stream.carries_state
                else f"windows of {length} every {stride}"
            )
            print_note(f"watching {source}: {how}; Ctrl-C ends it")

    def report_all(self, *, most_events: int | None = None) -> None:
        """Report until the stream ends, or so many classes entered; then what was left.

        Raises:
            VideoError: the stream broke; what was left before is reported, too.
        """
        try:
            with closing(iter(self._watching)) as items:
                for item in items:
                    if isinstance(item, StreamGap):
                        self._report_gap(item)
                    else:
                        self._report(item)
                    if most_events is not None and self._watching.figures.num_events >= most_events:
                        break
        except VideoError:
            self._report(self._watching.finish())
            raise
        self._report(self._watching.finish())

    def end(self) -> None:
        """Complete the clips, send what waits, and sum up."""
        if self._recorder is not None:
            self._recorder.close()
        if self._webhook is not None:
            self._webhook.close()
        if self._as_json:
            self._print(self._summary(), "")
        else:
            print_note(self._summary_text())

    # ---- one thing after the other

    def _report(self, update: StreamUpdate) -> None:
        for window in update.windows if self._windows else ():
            self._report_window(window)
        for event in update.events:
            self._report_event(event)

    def _report_window(self, window: StreamWindow) -> None:
        scores = window.scores.tolist()
        names = self._classes or tuple(str(index) for index in range(len(scores)))
        value: dict[str, Any] = {
            "type": "window",
            "start_seconds": _rounded(window.start_seconds),
            "end_seconds": _rounded(window.end_seconds),
            "label": window.label,
            "score": round(window.score, 6),
            "scores": {name: round(score, 6) for name, score in zip(names, scores, strict=True)},
            "latency_seconds": None if window.latency_seconds is None else _rounded(window.latency_seconds),
        }
        span = f"{format_seconds(window.start_seconds, 1)} to {format_seconds(window.end_seconds, 1)}"
        self._print(value, f"{span}  {window.label}  {window.score:.2f}")

    def _report_event(self, event: Event) -> None:
        moment = self._watching.clock_time(event.time_seconds)
        value: dict[str, Any] = {
            "type": "event",
            "event": event.kind,
            "label": event.label,
            "time_seconds": _rounded(event.time_seconds),
            "clock_time": None if moment is None else moment.isoformat(timespec="milliseconds"),
            "score": round(event.score, 6),
        }
        line = f"{self._shown_time(event.time_seconds, moment)}  {event.kind:7}  {event.label}  {event.score:.2f}"
        if event.segment is not None:
            value |= {
                "start_seconds": _rounded(event.segment.start_seconds),
                "end_seconds": _rounded(event.segment.end_seconds),
                "peak": round(event.segment.peak or 0.0, 6),
            }
            line += f"  after {event.segment.seconds:.1f} s"
        if self._recorder is not None:
            passed = format_seconds(event.time_seconds, 1).replace(":", "-")
            name = passed if moment is None else f"{moment:%Y%m%dT%H%M%SZ}"
            clip = self._recorder.note(event, name)
            if clip is not None:
                value["clip"] = str(clip)
        self._print(value, line)
        if self._webhook is not None:
            self._webhook.post(value)

    def _report_gap(self, gap: StreamGap) -> None:
        value = {
            "type": "gap",
            "start_seconds": _rounded(gap.start_seconds),
            "end_seconds": _rounded(gap.end_seconds),
            "reason": gap.reason,
        }
        moment = self._watching.clock_time(gap.start_seconds)
        self._print(value, f"{self._shown_time(gap.start_seconds, moment)}  gap      {gap.seconds:.1f} s: {gap.reason}")

    def _shown_time(self, seconds: float, moment: datetime | None) -> str:
        return format_seconds(seconds, 1) if moment is None else f"{moment.astimezone():%H:%M:%S}"

    def _print(self, value: dict[str, Any], line: str) -> None:
        if self._as_json:
            print_json(value)
        else:
            print_line(line)
        sys.stdout.flush()  # what reads it wants it now

    # ---- the end

    def _summary(self) -> dict[str, Any]:
        figures = self._watching.figures
        median, high = figures.latency.quantile(0.5), figures.latency.quantile(0.95)
        value: dict[str, Any] = {
            "type": "end",
            "stream_seconds": _rounded(figures.stream_seconds),
            "frames": figures.num_frames,
            "dropped": figures.num_dropped,
            "skipped": figures.num_skipped,
            "late": figures.num_late,
            "reconnects": figures.num_reconnects,
            "gaps": figures.num_gaps,
            "gap_seconds": _rounded(figures.gap_seconds),
            "windows": figures.num_windows,
            "events": figures.num_events,
            "latency_median_seconds": None if median is None else _rounded(median),
            "latency_95_seconds": None if high is None else _rounded(high),
        }
        if self._webhook is not None:
            value["webhook"] = {"posted": self._webhook.num_posted, "failed": self._webhook.num_failed}
        if self._recorder is not None:
            value["clips"] = self._recorder.num_clips
        return value

    def _summary_text(self) -> str:
        figures = self._watching.figures
        parts = [
            f"{figures.num_frames} frames in {figures.stream_seconds:.1f} s",
            plural(figures.num_windows, "window"),
            plural(figures.num_events, "event"),
            f"{figures.num_dropped} frames dropped",
            *_others(figures),
            f"{plural(figures.num_reconnects, 'reconnect')}",
            f"{plural(figures.num_gaps, 'gap')} ({figures.gap_seconds:.1f} s)",
        ]
        median, high = figures.latency.quantile(0.5), figures.latency.quantile(0.95)
        if median is not None and high is not None:
            parts.append(f"latency {median:.2f} s (95 % below {high:.2f} s)")
        if self._webhook is not None:
            parts.append(f"webhook {self._webhook.num_posted} posted, {self._webhook.num_failed} failed")
        if self._recorder is not None:
            parts.append(plural(self._recorder.num_clips, "clip"))
        return "; ".join(parts)


def _others(figures: StreamFigures) -> list[str]:
    """What is worth a word only where it happened."""
    counts = {"skipped": figures.num_skipped, "late": figures.num_late}
    return [f"{count} {name}" for name, count in counts.items() if count]


def _rounded(seconds: float) -> float:
    return round(seconds, 6)
