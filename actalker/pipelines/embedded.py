"""The embedded tier: denoise facial motion, warp the user's own photo, write the clip."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np

from actalker import checkpoints
from actalker.config import REGIONS
from actalker.memory import give_back, peak_memory_mb, share_heaps
from actalker.pipelines.ahead import Errands, in_order, leave_cores_to_threads
from actalker.pipelines.denoising import Performance, denoise, denoise_in_parts
from actalker.pipelines.recipe import refuse_to_overwrite, write_recipe
from actalker.pipelines.rendering import Pieces, marks_of, write
from actalker.pipelines.request import Progress, Request, silent
from actalker.pipelines.stages import Measured, Senses, frame_count, sound_track
from actalker.pipelines.stills import PICTURE, key_of, still
from actalker.render.portrait import Portrait
from actalker.scan import recorded

T = TypeVar("T")

LONG = 1500  # frames of a result that leaves much behind


@dataclass
class Stopwatch:
    """Seconds spent in each stage, those of all threads together: stages that overlap add up to more than the total."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    lock: Lock = field(default_factory=Lock)

    @contextmanager
    def time(self, stage: str, within: str | None = None) -> Iterator[None]:
        """Time a stage, of which nothing counts as the one `within` which it happens."""
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            with self.lock:
                self.seconds[stage] += spent
                if within:
                    self.seconds[within] -= spent

    def waits(self, things: Iterable[T], stage: str, within: str | None = None) -> Iterator[T]:
        """The things, waiting for each of which is timed."""
        things, end = iter(things), object()
        while True:
            with self.time(stage, within):
                thing = next(things, end)
            if thing is end:
                return
            yield thing


class EmbeddedPipeline:
    """Photo + speech and / or driving clip -> a video in which the photo talks. Keeps the weights between calls."""

    tier = "embedded"

    def __init__(self, checkpoint: Path | None = None):
        share_heaps()  # every run has threads of its own
        leave_cores_to_threads()
        self.network = checkpoints.load_motion_net(checkpoint)
        self.weights = checkpoints.sha256(checkpoint or checkpoints.folder() / checkpoints.EMBEDDED)
        self._last_portrait: tuple[tuple, Portrait] | None = None

    def __call__(
        self,
        request: Request,
        out: Path,
        progress: Progress = silent,
        motion_out: Path | None = None,
        measure: Callable[[Request, Errands], Measured] | None = None,
        chunk: Callable[[Path], None] | None = None,
        chunk_seconds: float = 2.0,
        plain: Path | None = None,
    ) -> dict:
        """Render to `out` with a recipe beside it. Returns the facts; InputError leaves no file of them.

        `chunk` is given playable pieces of the result as soon as they are rendered, see `rendering.Pieces`; the first
        lasts half a second, later ones up to `chunk_seconds`. If `progress` or `chunk` raises Cancelled while frames
        are rendered, those of at least a second are kept as a shorter video, and the facts say "cancelled": true;
        before that, Cancelled is raised and nothing is left. `plain` gets the video without its marks, to be measured.

        Measuring, denoising, rendering and encoding go on side by side. `measure` is like `Senses.begin`, and may know
        the files already.
        """
        watch, out, request = Stopwatch(), Path(out), request.checked()
        recipe = out.with_suffix(".json")
        refuse_to_overwrite(request, out, recipe, motion_out)
        scans: set[str] = set()
        with watch.time("total"), Errands(progress) as errands:
            with watch.time("measure"):
                measured = (measure or Senses().begin)(request, errands)
            listening = errands.begin(lambda: sound_track(request, measured.seconds))
            preparing = errands.begin(lambda: self._portrait(request, measured))
            performing = errands.stream(self._performed(request, measured, watch, errands.told, scans))
            sound, portrait = errands.result(listening), errands.result(preparing)
            total, marks = frame_count(measured.seconds, request.fps), marks_of(request, measured)
            pieces = Pieces(out, total, request.fps, sound, chunk, chunk_seconds, marks)
            parts = errands.each(performing)
            first = next(parts)
            _settle(total)
            frames = self._frames(portrait, chain([first], parts), total, watch, errands.tell)
            count, cancelled = write(out, frames, request.fps, sound, pieces, marks, plain, watch.time)
            performance = Performance.joined(performing.so_far()).until(count)
        if motion_out is not None:
            performance.motion.save(motion_out)
        made_with = {"tier": self.tier, "weights_sha256": self.weights, "scan": sorted(scans)}
        write_recipe(recipe, request, made_with | ({"cancelled_after_frames": count} if cancelled else {}))
        return self._facts(request, out, measured, performance, portrait, watch) | {"cancelled": cancelled}

    def still(self, request: Request, at: float, measure: Senses | None = None) -> np.ndarray:
        """The frame (h, w, 3) uint8 at `at` seconds; quick if calls share a `measure`, see `stills.still`."""
        return still(self.denoise, self._portrait, request, at, measure or Senses())

    def denoise(self, request: Request, measured: Measured, progress: Progress = silent) -> Performance:
        """What the face does, as `denoising.denoise` says."""
        return denoise(self.network, request, measured, progress)

    def _portrait(self, request: Request, measured: Measured) -> Portrait:
        """The measured photo, ready to be moved; that of the last request if it is the same."""
        key, last = key_of(request, "photo", "face", *PICTURE), self._last_portrait
        if last is None or last[0] != key:
            last = key, Portrait(measured.photo, measured.face, request.size, measured.masks)
            self._last_portrait = last
        return last[1]

    def _performed(
        self, request: Request, measured: Measured, watch: Stopwatch, progress: Progress, scans: set[str]
    ) -> Iterator[Performance]:
        """What the face does, part after part; the names of the scans that were used go to `scans`."""
        waiting = partial(watch.waits, stage="measure", within="denoise")
        parts = denoise_in_parts(self.network, request, measured, progress, waiting)
        with recorded() as used:
            for part in watch.waits(parts, "denoise"):
                scans |= used
                yield part

    def _frames(
        self, portrait: Portrait, parts: Iterable[Performance], total: int, watch: Stopwatch, progress: Progress
    ) -> Iterator[np.ndarray]:
        """The frames in order, several of them rendered at a time."""

        def frame(moved: tuple[np.ndarray, float]) -> np.ndarray:
            with watch.time("render"):
                return portrait.render(moved[0], seal=float(moved[1]))

        moves = (moved for part in parts for moved in zip(part.motion.values, part.seal, strict=True))
        for done, rendered in enumerate(in_order(frame, moves), start=1):
            progress("rendering", done / total)
            yield rendered
        _settle(total)

    def _facts(
        self,
        request: Request,
        out: Path,
        measured: Measured,
        performance: Performance,
        portrait: Portrait,
        watch: Stopwatch,
    ) -> dict:
        height, width = portrait.shape[:2]
        frames, spent = len(performance.motion), watch.seconds
        seconds = float(frames / request.fps)
        return {
            "out": str(out),
            "seconds": round(seconds, 3),
            "frames": frames,
            "fps": float(request.fps),
            "width": width,
            "height": height,
            "tier": self.tier,
            "seed": request.seed,
            "gates": measured.gates,
            "regions": {region: request.regions[region] for region in REGIONS},
            "timeline": [asdict(cue) for cue in request.timeline],
            "offsets": request.offsets,
            "faces_found": measured.faces_found,
            "driver_frames_filled": measured.filled,
            "timings": {stage: round(spent[stage], 3) for stage in ("measure", "denoise", "render", "encode", "total")},
            "realtime_factor": round(spent["total"] / seconds, 3),
            "peak_memory_mb": peak_memory_mb(),
            "network_calls": performance.calls,
            "recipe": str(out.with_suffix(".json")),
        }


def _settle(frames: int) -> None:
    """Return what a stage let go before the next one takes more, where that is much."""
    if frames > LONG:
        give_back()
