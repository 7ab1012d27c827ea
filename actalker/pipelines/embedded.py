"""The embedded tier: denoise facial motion, warp the user's own photo, write the clip."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from actalker import checkpoints
from actalker.config import COEFFICIENTS, MEL_PER_FRAME, REGIONS, Sampling
from actalker.model.conditioning import Conditions, belonging, coefficient_mask, region_masks
from actalker.model.diffusion import guided, precondition, sample_euler, sigmas, windowed
from actalker.pipelines.recipe import refuse_to_overwrite, write_recipe
from actalker.pipelines.request import Progress, Request, silent
from actalker.pipelines.stages import Measured, frame_count, measure, sound_track
from actalker.render.portrait import Portrait
from actalker.scan import recorded
from actalker.signals import media
from actalker.signals.face import Face
from actalker.signals.mesh import canonical_face
from actalker.signals.motion import Motion
from actalker.signals.rig import Rig

# Pairs of mesh points whose distances describe a neutral face: height, width, mouth, lips, chin, eye, lids, brows.
SHAPE_PAIRS = np.array([(10, 152), (234, 454), (61, 291), (0, 17), (1, 152), (33, 133), (159, 145), (70, 300)])
SHAPE_SPREAD = 0.15  # of the logarithm of such a distance among people
SEAL_SECONDS = 0.3  # in which an open-mouthed photo closes its lips before it speaks


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
    ) -> dict:
        """Render to `out` with a recipe beside it. Returns the facts; raises InputError before any output."""
        watch, out, request = Stopwatch(), Path(out), request.checked()
        recipe = out.with_suffix(".json")
        refuse_to_overwrite(request, out, recipe, motion_out)
        with watch.time("total"):
            with watch.time("measure"):
                progress("measuring", 0.0)
                measured = measure(request, progress)
                sound = sound_track(request, measured.seconds)
                portrait = Portrait(measured.photo, measured.face, request.size, measured.masks)
            with watch.time("denoise"), recorded() as scans:
                motion, calls = self.denoise(request, measured, progress)
            speaks = measured.moves("mouth", request.regions)
            frames = self._frames(portrait, motion, request, speaks, watch, progress)
            with watch.time("write"):
                media.write_video(out, frames, request.fps, sound)
        if motion_out is not None:
            motion.save(motion_out)
        write_recipe(recipe, request, {"tier": self.tier, "weights_sha256": self.weights, "scan": sorted(scans)})
        return self._facts(request, out, measured, motion, portrait, watch, calls)

    def denoise(self, request: Request, measured: Measured, progress: Progress = silent) -> tuple[Motion, int]:
        """Motion at the request's frame rate, and how often the network was called for a whole clip."""
        config, frames = self.network.config, frame_count(measured.seconds, Fraction(self.network.config.fps))
        progress("denoising", 0.0)
        sampling = Sampling(steps=request.steps, guidance=request.guidance)
        calls = 0

        def counted(x: torch.Tensor, level: torch.Tensor, conditions: Conditions) -> torch.Tensor:
            nonlocal calls
            calls += 1
            return self.network(x, level, conditions)

        with torch.inference_mode():
            conditions = self.condition(request, measured, frames)
            denoise = guided(precondition(counted), self.network.forget, sampling.guidance)
            levels = sigmas(sampling)
            generator = torch.Generator().manual_seed(request.seed)
            noise = torch.randn(1, frames, len(COEFFICIENTS), generator=generator)
            whole = windowed(denoise, conditions, config.window, config.overlap)
            settled = belonging(sampling.settled)
            done = sample_euler(
                whole, noise, levels, settled, lambda i: progress("denoising", (i + 1) / sampling.steps)
            )
            values = self.network.unwhiten(done)[0] * self._strength(request, conditions)
        motion = Motion(values.numpy().astype(np.float32), float(config.fps), measured.filled)
        return motion.resampled(float(request.fps), frame_count(measured.seconds, request.fps)), calls

    def condition(self, request: Request, measured: Measured, frames: int) -> Conditions:
        """The open gates' signals as tokens: a closed gate's encoder is not run."""
        masks = {name: mask for name, mask in region_masks(request.regions, frames).items() if measured.gates[name]}
        speech = driving = None
        if "audio" in masks:
            features = torch.from_numpy(_fitted(measured.speech.features, MEL_PER_FRAME * frames))[None]
            speech = self.network.speech(features)[0]
        if "video" in masks:
            at_rate = measured.driving.resampled(float(self.network.config.fps))
            driving = torch.from_numpy(at_rate.extended(frames).values)[None]
        shape = torch.from_numpy(face_shape(measured.face))[None]
        return self.network.condition(shape, masks, speech, driving)

    def _strength(self, request: Request, conditions: Conditions) -> torch.Tensor:
        """(t, k): each coefficient's strength, 0 where its region keeps still."""
        whole = sum(coefficient_mask(mask) * request.strengths[name] for name, mask in conditions.masks.items())
        return torch.where(belonging({"head"}), whole * request.head_strength, whole)

    def _frames(
        self, portrait: Portrait, motion: Motion, request: Request, speaks: bool, watch: Stopwatch, progress: Progress
    ) -> Iterator[np.ndarray]:
        for i, values in enumerate(motion.values):
            with watch.time("render"):
                seal = min(1.0, i / (SEAL_SECONDS * request.fps)) if speaks else 0.0
                frame = portrait.render(values, seal=float(seal))
            progress("rendering", (i + 1) / len(motion))
            yield frame

    def _facts(
        self,
        request: Request,
        out: Path,
        measured: Measured,
        motion: Motion,
        portrait: Portrait,
        watch: Stopwatch,
        calls: int,
    ) -> dict:
        height, width = portrait.shape[:2]
        frames, spent = len(motion), watch.seconds
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
            "faces_found": measured.faces_found,
            "driver_frames_filled": measured.filled,
            "timings": {stage: round(spent[stage], 3) for stage in ("measure", "denoise", "render", "encode", "total")},
            "realtime_factor": round(spent["total"] / seconds, 3),
            "peak_memory_mb": peak_memory_mb(),
            "network_calls": calls,
            "recipe": str(out.with_suffix(".json")),
        }


def peak_memory_mb() -> int | None:
    """The most memory that this process ever held; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def face_shape(face: Face) -> np.ndarray:
    """The identity token's input (8,) float32: how a face's proportions differ from the canonical one, in spreads."""
    own, usual = (_distances(points) for points in (Rig(face.points).neutral, canonical_face()))
    return (np.log(own / usual) / SHAPE_SPREAD).clip(-3, 3).astype(np.float32)


def _distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[SHAPE_PAIRS[:, 0]] - points[SHAPE_PAIRS[:, 1]], axis=1)


def _fitted(features: np.ndarray, rows: int) -> np.ndarray:
    """The first `rows` rows, the last one repeated where the recording is shorter."""
    return np.pad(features[:rows], ((0, max(0, rows - len(features))), (0, 0)), mode="edge")
