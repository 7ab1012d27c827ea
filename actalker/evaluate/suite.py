"""The project's own list of results: rendered from its example files, scored, and held to what they reached before.

`actalker evaluate --suite` shows every row beside its expected value; `--update` makes the new values the expected
ones, here and in the README. A row is worse when it is on the wrong side of its expected value by more than its
tolerance, which leaves room for other processors and codecs. Speech is synthesised and drivers are renderings, so
the rows guard against falling back; they do not say how good a result looks.
"""

import datetime
import json
import os
import platform
import re
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from actalker import checkpoints, pipelines
from actalker.config import PRESETS, VERSION
from actalker.errors import InputError
from actalker.evaluate.control import leaks
from actalker.evaluate.scores import Section, Yardsticks, following_driver, lips_and_voice, score
from actalker.evaluate.tables import number
from actalker.evaluate.watching import Watched, at_25_fps, look_at, pixel_changes_of, watch
from actalker.pipelines import Pipeline, Progress, Request
from actalker.pipelines.request import silent
from actalker.pipelines.stages import Senses
from actalker.saving import replacing
from actalker.signals import media
from actalker.signals.alignment import align_phones, aligner
from actalker.signals.audio import RATE
from actalker.signals.motion import Motion

ROOT = Path(__file__).parents[2]
README, ASSETS = ROOT / "README.md", ROOT / "assets"
EXPECTED = Path(__file__).with_name("suite.json")
MARKS = "<!-- suite -->", "<!-- end of suite -->"

PHOTO = ASSETS / "faces/hopper.jpg"
DRIVER, OTHER_DRIVER = ASSETS / "drivers/cheerful.mp4", ASSETS / "drivers/curious.mp4"
SPEECH, OTHER_SPEECH = ASSETS / "speech/welcome.wav", ASSETS / "speech/story.wav"
WORDS = (
    "welcome to the studio give me a photo and a voice and i will make them speak maybe begin with somebody you know"
)
PAUSES = 1.48, 4.63  # s, in SPEECH, between its sentences: stillness needs longer silences than a synthesiser makes
PAUSE_SECONDS = 0.8
PAIR_SECONDS = 6.9  # of the results that are compared in pairs: as long as the shorter recording

RENDERS = 7

UP, DOWN, ZERO = "higher", "lower", "nearer 0"


@dataclass(frozen=True)
class Row:
    """One number: what it is, which way is better, and by how much it may get worse."""

    name: str
    better: str
    tolerance: float

    def worse(self, value: float, expected: float) -> bool:
        """Whether the value has fallen behind what was expected; what can no longer be measured has."""
        if not np.isfinite(value):
            return True
        if self.better == UP:
            return value < expected - self.tolerance
        gone = abs(value) - abs(expected) if self.better == ZERO else value - expected
        return gone > self.tolerance


ROWS = (
    Row("voice: offset ms", ZERO, 20),
    Row("voice: voice r", UP, 0.06),
    Row("voice: stillness", DOWN, 0.08),
    Row("voice: p/b/m hit", UP, 0.15),
    Row("voice: false closures", DOWN, 0.10),
    Row("voice: closure ranking", UP, 0.08),
    Row("voice: jitter", DOWN, 0.5),
    Row("voice: shape drift %", DOWN, 0.5),
    Row("voice: shape distance %", DOWN, 0.5),
    Row("voice: sharpness", UP, 0.05),
    Row("voice: background", DOWN, 0.5),
    Row("video: pose error deg", DOWN, 0.3),
    Row("video: lag ms", ZERO, 10),
    Row("video: blink hit", UP, 0.34),
    Row("video: false blinks/min", DOWN, 8),
    Row("video: mouth follows r", UP, 0.06),
    Row("video: eyes follows r", UP, 0.08),
    Row("video: brows follows r", UP, 0.10),
    Row("video: head follows r", UP, 0.02),
    Row("joint: voice r", UP, 0.08),
    Row("joint: head follows r", UP, 0.02),
    Row("leak, joint: any region, model's motion", DOWN, 0.0),
    Row("leak, joint: eyes from the speech, pixels", DOWN, 0.01),
    Row("leak, joint: gaze from the speech, pixels", DOWN, 0.01),
    Row("leak, joint: brows from the speech, pixels", DOWN, 0.01),
    Row("leak, joint: head from the speech, mesh", DOWN, 0.02),
    Row("leak, head still: mouth from the clip, pixels", DOWN, 0.01),
)


@dataclass(frozen=True)
class Outcome:
    """The values of a run by row, where it ran, and the expected values, none of a row that is new."""

    values: dict[str, float]
    where: dict[str, str]
    expected: dict[str, float]

    @property
    def worse(self) -> list[str]:
        """Rows that fell behind."""
        return [row.name for row in ROWS if row.name in self.expected and self._is_worse(row)]

    def _is_worse(self, row: Row) -> bool:
        return row.worse(self.values[row.name], self.expected[row.name])

    def as_dict(self) -> dict:
        """For JSON."""
        values = {name: round(value, 5) if np.isfinite(value) else None for name, value in self.values.items()}
        return {"where": self.where, "values": values, "expected": self.expected, "worse": self.worse}


def run(progress: Progress = silent) -> Outcome:
    """Render and score everything; about a minute on two cores."""
    if not ASSETS.is_dir():
        raise InputError(f"The suite needs the project's example files, but {ASSETS} is missing; run it in a checkout.")
    with tempfile.TemporaryDirectory() as folder:
        values = _Renders(Path(folder), pipelines.load(), progress).values()
    kept = json.loads(EXPECTED.read_text())["values"] if EXPECTED.exists() else {}
    return Outcome({row.name: values[row.name] for row in ROWS}, _where(), kept)


class _Renders:
    """The suite's results in a folder."""

    def __init__(self, folder: Path, pipeline: Pipeline, progress: Progress):
        self._folder, self._pipeline, self._progress = folder, pipeline, progress
        self._senses, self._made = Senses(), 0

    def values(self) -> Section:
        """Every row's value."""
        return self._voice() | self._video() | self._pairs()

    def _voice(self) -> Section:
        samples = media.read_audio(SPEECH, RATE)
        cuts = [round(time * RATE) for time in PAUSES]
        samples = np.insert(samples, np.repeat(cuts, round(PAUSE_SECONDS * RATE)), 0.0)
        _, seen = self._render("voice", PHOTO, self._speech("voice", samples), None, PRESETS["voice"])
        phones = align_phones(aligner(), samples, WORDS, SPEECH.name)
        found = score(seen, Yardsticks(speech=samples, phones=phones, likeness=look_at(PHOTO)))
        return _prefixed("voice", found.flat)

    def _video(self) -> Section:
        _, seen = self._render("video", PHOTO, None, DRIVER, PRESETS["video"])
        return _prefixed("video", following_driver(seen.motion, self._driver))

    @cached_property
    def _driver(self) -> np.ndarray:
        return watch(DRIVER).motion

    def _pairs(self) -> Section:
        """Joint results that differ in one signal, with the head of the clip and with a still one."""
        frames = round(PAIR_SECONDS * RATE)
        first, second = (
            self._speech(path.stem, media.read_audio(path, RATE)[:frames]) for path in (SPEECH, OTHER_SPEECH)
        )
        joint, still = PRESETS["joint"], PRESETS["joint"] | {"head": "still"}
        base, seen = self._render("joint", PHOTO, first, DRIVER, joint)
        other, other_seen = self._render("other speech", PHOTO, second, DRIVER, joint)
        driven, _ = self._render("other driver", PHOTO, first, OTHER_DRIVER, joint)
        _, one = self._render("still", PHOTO, first, DRIVER, still)
        _, two = self._render("still, other driver", PHOTO, first, OTHER_DRIVER, still)
        of_model = leaks(base, other, joint, "audio") | leaks(base, driven, joint, "video")
        pixels = self._pixels("joint", seen, "other speech", other_seen)
        heads = leaks(seen.motion, other_seen.motion, joint, "audio")
        mouth = self._pixels("still", one, "still, other driver", two)["mouth"]
        joint_scores = lips_and_voice(seen.motion, media.read_audio(first, RATE))
        joint_scores |= following_driver(seen.motion, self._driver)
        return _prefixed("joint", joint_scores) | {
            "leak, joint: any region, model's motion": max(of_model.values()),
            "leak, joint: head from the speech, mesh": heads["head"],
            "leak, head still: mouth from the clip, pixels": mouth,
            **{f"leak, joint: {name} from the speech, pixels": pixels[name] for name in ("eyes", "gaze", "brows")},
        }

    def _render(
        self, name: str, photo: Path, speech: Path | None, driving: Path | None, regions: dict[str, str]
    ) -> tuple[np.ndarray, Watched]:
        """The model's motion (t, 38), and what the video shows."""
        self._progress("scoring", self._made / RENDERS)
        self._made += 1
        video, motion = self._video_of(name), self._folder / f"{name}.npz"
        request = Request(photo, speech, driving, regions=regions, label=False)
        self._pipeline(request, video, motion_out=motion, measure=self._senses.begin)
        return at_25_fps(Motion.load(motion)), watch(video)

    def _pixels(self, name: str, seen: Watched, other: str, other_seen: Watched) -> dict[str, float]:
        return pixel_changes_of(self._video_of(name), seen, self._video_of(other), other_seen)

    def _video_of(self, name: str) -> Path:
        return self._folder / f"{name}.mp4"

    def _speech(self, name: str, samples: np.ndarray) -> Path:
        from scipy.io import wavfile

        path = self._folder / f"{name}.wav"
        wavfile.write(path, RATE, samples)
        return path


def _prefixed(prefix: str, section: Section) -> Section:
    return {f"{prefix}: {name}": value for name, value in section.items()}


def _where() -> dict[str, str]:
    weights = checkpoints.sha256(checkpoints.folder() / checkpoints.EMBEDDED)
    machine = f"{_processor()}, {os.cpu_count()} cores, {platform.system()}"
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {"date": today, "version": VERSION, "weights": weights[:12], "machine": machine}


def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*:\s*(.+)", cpus.read_text()) if cpus.exists() else None
    return named[1] if named else platform.processor() or platform.machine()


def keep(outcome: Outcome) -> None:
    """Make an outcome the expected one: in `suite.json` and between the marks of the README."""
    stored = {"where": outcome.where, "values": outcome.as_dict()["values"]}
    _replace(EXPECTED, json.dumps(stored, indent=2) + "\n")
    text, (start, end) = README.read_text(), MARKS
    if start in text and end in text:
        head, tail = text.split(start)[0], text.split(end)[1]
        _replace(README, f"{head}{start}\n{stored_table()}\n{end}{tail}")


def stored_table() -> str:
    """The expected values as the README shows them."""
    stored = json.loads(EXPECTED.read_text())
    where, values = stored["where"], stored["values"]
    lines = [f"| {row.name} | {number(values[row.name])} | {row.better} | {row.tolerance:g} |" for row in ROWS]
    said = f"{where['date']}, version {where['version']}, weights `{where['weights']}`, {where['machine']}:"
    return "\n".join([said, "", "| row | value | better | may be worse by |", "|---|--:|---|--:|", *lines])


def as_text(outcome: Outcome) -> str:
    """Every row beside its expected value; what fell behind is marked."""
    rows = [["", "value", "expected", "better", "may be worse by", ""], *_lines(outcome)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def as_markdown(outcome: Outcome) -> str:
    """The same as a Markdown table."""
    rows = [["row", "value", "expected", "better", "may be worse by", ""], ["---"] * 6, *_lines(outcome)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def as_csv(outcome: Outcome) -> str:
    """A row a line, with all digits; no name holds a quotation mark."""
    lines = [f'"{row.name}",{outcome.values[row.name]:.6g},{row.better},{row.tolerance:g}' for row in ROWS]
    return "\n".join(["row,value,better,tolerance", *lines])


def _lines(outcome: Outcome) -> list[list[str]]:
    worse = set(outcome.worse)
    return [
        [
            row.name,
            number(outcome.values[row.name]),
            number(outcome.expected.get(row.name, float("nan"))),
            row.better,
            f"{row.tolerance:g}",
            "WORSE" if row.name in worse else "",
        ]
        for row in ROWS
    ]


def _replace(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text)
