"""The embedded tier: denoise facial motion, warp the user's own photo, write the clip."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from actalker import checkpoints
from actalker.config import REGIONS
from actalker.pipelines.denoising import Performance, denoise
from actalker.pipelines.recipe import refuse_to_overwrite, write_recipe
from actalker.pipelines.rendering import Pieces, marks_of, write
from actalker.pipelines.request import Progress, Request, silent
from actalker.pipelines.stages import Measured, Senses, attended, measure, sound_track
from actalker.pipelines.stills import still
from actalker.render.portrait import Portrait
from actalker.scan import recorded


@dataclass
class Stopwatch:
    """Seconds spent in each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started


class EmbeddedPipeline:
    """Photo + speech and / or driving clip -> a video in which the photo talks. Keeps the weights between calls."""

    tier = "embedded"

    def __init__(self, checkpoint: Path | None = None):
        self.network = checkpoints.load_motion_net(checkpoint)
        self.weights = checkpoints.sha256(checkpoint or checkpoints.folder() / checkpoints.EMBEDDED)

    def __call__(
        self,
        request: Request,
        out: Path,
        progress: Progress = silent,
        motion_out: Path | None = None,
        measure: Callable[[Request, Progress], Measured] = measure,
        chunk: Callable[[Path], None] | None = None,
        chunk_seconds: float = 2.0,
        plain: Path | None = None,
    ) -> dict:
        """Render to `out` with a recipe beside it. Returns the facts; raises InputError before any output.

        `chunk` is given playable pieces of the result as soon as they are rendered, see `rendering.Pieces`; the first
        lasts half a second, later ones up to `chunk_seconds`. If `progress` or `chunk` raises Cancelled while frames
        are rendered, those of at least a second are kept as a shorter video, and the facts say "cancelled": true;
        before that, Cancelled is raised and nothing is left. `plain` gets the video without its marks, to be measured.
        """
        watch, out, request = Stopwatch(), Path(out), request.checked()
        recipe = out.with_suffix(".json")
        refuse_to_overwrite(request, out, recipe, motion_out)
        with watch.time("total"):
            with watch.time("measure"):
                measured = measure(request, progress)
                sound = attended(lambda: sound_track(request, measured.seconds), progress, 1.0)
                portrait = attended(lambda: portrait_of(request, measured), progress, 1.0)
            with watch.time("denoise"), recorded() as scans:
                performance = self.denoise(request, measured, progress)
            marks = marks_of(request, measured)
            pieces = Pieces(out, len(performance.motion), request.fps, sound, chunk, chunk_seconds, marks)
            with watch.time("write"):
                frames = self._frames(portrait, performance, watch, progress)
                count, cancelled = write(out, frames, request.fps, sound, pieces, marks, plain)
        performance = performance.until(count)
        if motion_out is not None:
            performance.motion.save(motion_out)
        made_with = {"tier": self.tier, "weights_sha256": self.weights, "scan": sorted(scans)}
        write_recipe(recipe, request, made_with | ({"cancelled_after_frames": count} if cancelled else {}))
        return self._facts(request, out, measured, performance, portrait, watch) | {"cancelled": cancelled}

    def still(self, request: Request, at: float, measure: Senses | None = None) -> np.ndarray:
        """The frame (h, w, 3) uint8 at `at` seconds; quick if calls share a `measure`, see `stills.still`."""
        return still(self.denoise, request, at, measure or Senses())

    def denoise(self, request: Request, measured: Measured, progress: Progress = silent) -> Performance:
        """What the face does, as `denoising.denoise` says."""
        return denoise(self.network, request, measured, progress)

    def _frames(
        self, portrait: Portrait, performance: Performance, watch: Stopwatch, progress: Progress
    ) -> Iterator[np.ndarray]:
        for i, (values, seal) in enumerate(zip(performance.motion.values, performance.seal, strict=True), start=1):
            with watch.time("render"):
                frame = portrait.render(values, seal=float(seal))
            progress("rendering", i / len(performance.motion))
            yield frame

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
        spent["encode"] = spent.pop("write") - spent["render"]
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


def portrait_of(request: Request, measured: Measured) -> Portrait:
    """The measured photo, ready to be moved."""
    return Portrait(measured.photo, measured.face, request.size, measured.masks)


def peak_memory_mb() -> int | None:
    """The most memory that this process ever held; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))
