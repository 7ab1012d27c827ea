"""Pictures of what happens over time, as SVG: they take the page's colours, in the light and in the dark, and scale."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import pairwise

import numpy as np

from actalker.config import INDEX, REGIONS
from demo.texts import Words

WIDTH, LEFT, RIGHT = 720, 104, 12  # units of the drawing; names stand on the left
ROW, GAP, AXIS = 26, 6, 30
CURVE = 60  # height of a panel of curves
NARROW = 60  # a block that is no wider has no room for its name
Segment = tuple[float, Mapping[str, str]]  # from which second on which region map holds


def _mean(*names: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda motion: motion[:, [INDEX[name] for name in names]].mean(axis=1)


CURVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # what stands for a region, from a motion (t, k)
    "mouth": _mean("jawOpen"),
    "eyes": _mean("eyeBlinkLeft", "eyeBlinkRight"),
    "gaze": _mean("gazeX"),
    "brows": _mean("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    "head": _mean("headYaw"),
}


def curves(words: Words, title: str, motions: Mapping[str, np.ndarray], fps: float, seconds: float) -> str:
    """A panel for each region with a curve for each motion (t, k), all on one axis of time."""
    parts, top = [], 2
    for region, of in CURVES.items():
        lines = {name: of(motion)[: round(seconds * fps) + 1] for name, motion in motions.items()}
        parts.append(_panel(words, region, lines, fps, seconds, top))
        top += CURVE + 2 * GAP
    parts.append(_axis(words, seconds, top))
    return _legend(list(motions)) + _drawing(title, top + AXIS, parts, "wide")


def timeline(words: Words, title: str, segments: Sequence[Segment], seconds: float, wave: Sequence[float]) -> str:
    """Who moves each region when, below the voice's loudness (values from 0 to 1)."""
    parts, top = [_wave(wave, 4, 44)], 54
    for region in REGIONS:
        parts.append(_name(words(f"region.{region}"), top + ROW / 2))
        for start, end, sources in _spans(segments, seconds):
            source = sources[region]
            parts.append(_block(words(f"source.{source}"), source, start / seconds, end / seconds, top))
        top += ROW + GAP
    parts.append(_axis(words, seconds, top))
    return _drawing(title, top + AXIS, parts)


def tokens(words: Words, title: str, signal: str, segments: Sequence[Segment], seconds: float) -> str:
    """Which tokens (a region over time) the branch of a signal keeps, and which it drops."""
    parts, top = [], 2
    for region in REGIONS:
        parts.append(_name(words(f"region.{region}"), top + ROW / 2))
        for start, end, sources in _spans(segments, seconds):
            kept = sources[region] == signal
            word = words("inspect.kept" if kept else "inspect.dropped")
            parts.append(_block(word, signal if kept else "dropped", start / seconds, end / seconds, top))
        top += ROW + GAP
    parts.append(_axis(words, seconds, top))
    return _drawing(title, top + AXIS, parts)


def segments_of(regions: Mapping[str, str], cues: Sequence[Segment], given: set[str]) -> list[Segment]:
    """The region maps of a clip in order of time. What listens to a signal that is not there keeps still."""
    whole = [(0.0, dict(regions)), *((start, {**regions, **changed}) for start, changed in sorted(cues, key=_start))]
    heard = {*given, "still"}
    return [(start, {name: source if source in heard else "still" for name, source in sources.items()})
            for start, sources in whole]  # fmt: skip


def _start(segment: Segment) -> float:
    return segment[0]


def _spans(segments: Sequence[Segment], seconds: float) -> list[tuple[float, float, Mapping[str, str]]]:
    """Start, end and map of each segment that takes part in a clip of so many seconds."""
    starts = [min(start, seconds) for start, _ in segments]
    spans = pairwise([*starts, seconds])
    return [(start, end, sources) for (start, end), (_, sources) in zip(spans, segments, strict=True) if end > start]


def _drawing(title: str, height: float, parts: Sequence[str], kind: str = "") -> str:
    name = escape(title, quote=True)
    return (
        f"<div class='scroll chart {kind}' tabindex='0' role='group' aria-label='{name}'>"
        f"<svg viewBox='0 0 {WIDTH} {height:g}' role='img' aria-label='{name}'>{''.join(parts)}</svg></div>"
    )


def _x(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _name(text: str, y: float) -> str:
    return f"<text class='name' x='{LEFT - 10}' y='{y:.1f}' text-anchor='end' dy='.35em'>{escape(text)}</text>"


def _block(text: str, kind: str, start: float, end: float, top: float) -> str:
    left, width = _x(start), _x(end) - _x(start)
    middle = f"x='{left + width / 2:.1f}' y='{top + ROW / 2:.1f}' text-anchor='middle' dy='.35em'"
    label = f"<text {middle}>{escape(text)}</text>" if width > NARROW else ""
    box = f"x='{left + 1:.1f}' y='{top}' width='{max(width - 2, 1):.1f}' height='{ROW}' rx='5'"
    return f"<g class='block {kind}'><rect {box}/>{label}</g>"


def _wave(values: Sequence[float], top: float, height: float) -> str:
    if not len(values):
        return ""
    middle, step = top + height / 2, (WIDTH - LEFT - RIGHT) / len(values)
    bars = "".join(
        f"M{_x(i / len(values)) + step / 2:.1f} {middle - size / 2:.1f}v{size:.1f}"
        for i, size in enumerate(max(value * height, 1) for value in values)
    )
    return f"<path class='wave' d='{bars}'/>"


def _axis(words: Words, seconds: float, top: float) -> str:
    """Marks of whole seconds, no more than a dozen."""
    step = next(step for step in (1, 2, 5, 10, 30, 60, 120) if seconds / step <= 12)
    marks = []
    for second in range(0, int(seconds) + 1, step):
        x = _x(second / seconds)
        marks.append(f"<path class='mark' d='M{x:.1f} {top}v5'/>")
        label = words("chart.second", second=second)
        marks.append(f"<text class='tick' x='{x:.1f}' y='{top + 20}' text-anchor='middle'>{escape(label)}</text>")
    return f"<path class='mark' d='M{LEFT} {top}H{WIDTH - RIGHT}'/>{''.join(marks)}"


def _panel(words: Words, region: str, lines: Mapping[str, np.ndarray], fps: float, seconds: float, top: float) -> str:
    """The curves of one region, scaled to their own range."""
    low = min((float(line.min()) for line in lines.values() if len(line)), default=0.0)
    high = max((float(line.max()) for line in lines.values() if len(line)), default=1.0)
    spread = max(high - low, 1e-3)
    paths = []
    for number, line in enumerate(lines.values()):
        x = _x(np.arange(len(line)) / fps / seconds)
        y = top + CURVE * (1 - (line - low) / spread)
        points = "L".join(f"{across:.1f} {down:.1f}" for across, down in zip(x, y, strict=True))
        paths.append(f"<path class='line n{number % 7}' d='M{points}'/>" if len(line) else "")
    frame = f"<rect class='frame' x='{LEFT}' y='{top}' width='{WIDTH - LEFT - RIGHT}' height='{CURVE}'/>"
    about = _name(words(f"curve.{region}"), top + CURVE / 2)
    ends = "".join(
        f"<text class='tick' x='{LEFT - 4}' y='{y}' text-anchor='end' dy='.35em'>{_short(value)}</text>"
        for value, y in ((high, top + 6), (low, top + CURVE - 6))
    )
    return frame + about + ends + "".join(paths)


def _short(value: float) -> str:
    """At most two decimals, and no minus before a nothing."""
    return f"{round(value, 2) + 0.0:g}"


def _legend(names: Sequence[str]) -> str:
    """A line of each kind with its name, in a row that breaks where it must."""
    lines = "".join(
        f"<li><svg viewBox='0 0 24 6' aria-hidden='true'><path class='line n{number % 7}' d='M0 3h24'/></svg>"
        f"{escape(name)}</li>"
        for number, name in enumerate(names)
    )
    return f"<ul class='chart legend'>{lines}</ul>"
