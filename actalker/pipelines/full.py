"""The full tier: denoise a film's latents around the photo's, decode them, write the clip."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from actalker import checkpoints
from actalker.config import FAST, SCHEDULES, VideoSampling
from actalker.errors import InputError
from actalker.memory import peak_memory_mb
from actalker.model.diffusion import Parts
from actalker.model.masks import Masks
from actalker.model.video_diffusion import denoise_film, padded
from actalker.pipelines.ahead import Errands
from actalker.pipelines.compiling import compile_parts
from actalker.pipelines.listening import film_of, place_of, see
from actalker.pipelines.recipe import refuse_to_overwrite, write_recipe
from actalker.pipelines.rendering import marks_of
from actalker.pipelines.request import Progress, Request, Running, silent
from actalker.pipelines.stages import Measured, Senses, frame_count, sound_track, to_the_end
from actalker.pipelines.vae import SCALE, Vae
from actalker.scan import recorded
from actalker.signals import media
from actalker.signals.place import Place

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
OWN = ("decode", "overlap", "guidance_interval", "cache_interval")  # of Running and VideoSampling alike
UNTRAINED = "These weights are Stable Video Diffusion's own: control is untrained, so speech and clip steer nothing."

log = logging.getLogger(__name__)


class FullPipeline:
    """Photo + speech and / or driving clip -> a video of the photo talking. Keeps the weights between calls."""

    tier = "full"

    def __init__(self, running: Running | None = None):
        self.running = (running or Running()).checked()
        self.device = _device(self.running.device)
        dtype, folder = DTYPES[self.running.precision], checkpoints.folder()
        paths = {folder / name: dtype for name in (checkpoints.DENOISER, checkpoints.VAE)}
        config, self.facts = checkpoints.read_metadata(folder / checkpoints.DENOISER)
        if config.encoders.senses == "released":
            paths[folder / checkpoints.PERCEPTION] = torch.float32
        checkpoints.require_memory(paths, checkpoints.free_memory())
        self.vae = Vae.build(checkpoints.read_metadata(folder / checkpoints.VAE)[0])
        checkpoints.fill_vae(self.vae.model, folder / checkpoints.VAE, dtype)
        self.network = checkpoints.load_denoiser(folder / checkpoints.DENOISER, dtype)
        released = config.encoders.senses == "released"
        self.senses = checkpoints.load_perception(folder / checkpoints.PERCEPTION) if released else None
        self.weights = checkpoints.sha256(folder / checkpoints.DENOISER)
        if not self.running.offload:
            for part in (self.vae.model, self.network):
                part.to(self.device)
        if self.running.compile:
            compile_parts(self.network, self.device)

    def __call__(
        self,
        request: Request,
        out: Path,
        progress: Progress = silent,
        motion_out: Path | None = None,
        measure: Callable[[Request, Errands], Measured] | None = None,
    ) -> dict:
        """Render to `out` with a recipe beside it. Returns the facts; raises InputError before any output."""
        started, out, request = time.perf_counter(), Path(out), self._checked(request, motion_out)
        recipe = out.with_suffix(".json")
        refuse_to_overwrite(request, out, recipe)
        progress("measuring", 0.0)
        measured = to_the_end(measure or Senses().begin, request, progress)
        sound = sound_track(request, measured.seconds)
        sizes: list[tuple[int, ...]] = []

        def counted() -> Iterator[np.ndarray]:
            for frame in self.frames(request, measured, progress):
                sizes.append(frame.shape)
                yield frame

        with recorded() as scans:
            media.write_video(out, counted(), request.fps, sound, marks_of(request, measured))
        made = {"tier": self.tier, "weights_sha256": self.weights, "scan": sorted(scans), "trained": self.trained}
        made["running"] = asdict(self.running)
        write_recipe(recipe, request, made)
        return self._facts(request, out, measured, sizes, time.perf_counter() - started)

    @property
    def trained(self) -> bool:
        """Whether control was ever trained in these weights."""
        return bool(self.facts.get("trained"))

    def _checked(self, request: Request, motion_out: Path | None) -> Request:
        if motion_out is not None:
            raise InputError("The full tier makes video, not motion; leave --motion-out out.")
        for name in ("timeline", "offsets"):
            if getattr(request, name):
                raise InputError(f"The full tier has no {name}; leave it out, or take the embedded tier.")
        if request.head_strength != 1:
            raise InputError(
                f"head_strength is {request.head_strength}; the full tier moves the head as it learned to."
            )
        if not self.trained:
            log.warning(UNTRAINED)
        return request.checked()

    @torch.inference_mode()
    def frames(self, request: Request, measured: Measured, progress: Progress = silent) -> Iterator[np.ndarray]:
        """The clip's frames (h, w, 3) uint8: a chunk of the VAE as soon as windows of the last step have finished it.

        With offloading, the last step is over before the first chunk, as network and VAE take turns on the device.
        """
        sampling = sampling_of(request, self.running)
        count = frame_count(measured.seconds, request.fps)
        length = padded(count, self.network.config.window, sampling)
        parts = self.denoise(request, measured, sampling, progress)
        if self.running.offload:
            parts = iter(list(parts))
        done = 0
        with self._at_work(self.vae.model):
            for chunk in self.vae.decode(parts, length, count, sampling.decode):
                for frame in chunk.mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy():
                    done += 1
                    progress("rendering", done / count)
                    yield frame

    @torch.inference_mode()
    def denoise(
        self, request: Request, measured: Measured, sampling: VideoSampling, progress: Progress = silent
    ) -> Parts:
        """Scaled latents (1, n, 4, h, w) of frames (n,), those of the padding behind the clip, too, as they finish."""
        frames, window = frame_count(measured.seconds, request.fps), self.network.config.window
        place, masks = self._places(request, measured)
        picture = torch.from_numpy(place.picture / np.float32(127.5) - 1).permute(2, 0, 1)[None]
        with self._at_work(self.vae.model):
            photo = self.vae.encode(picture.to(self.device))[0]
        sights = see(self.senses, request, measured, frames)
        generator = torch.Generator().manual_seed(request.seed)
        noise = torch.randn(1, padded(frames, window, sampling), *photo.shape, generator=generator)
        progress("denoising", 0.0)
        with self._at_work(self.network):
            sights = replace(sights, **{k: v.to(self.device) for k, v in vars(sights).items() if v is not None})
            film = film_of(self.network, sights, place, masks, photo, frames, float(request.fps))
            yield from denoise_film(
                self.network,
                film,
                noise.to(self.device),
                SCALE * photo,
                window,
                sampling,
                lambda i: progress("denoising", (i + 1) / sampling.steps),
            )

    def _places(self, request: Request, measured: Measured) -> tuple[Place, Masks]:
        """The photo at working size, and where each signal holds in it."""
        place, maps = place_of(request, measured, 576 if request.size == "full" else request.size)
        if self.running.masks == "ones":
            maps = {name: np.full_like(pixels, 255) for name, pixels in maps.items()}
        pixels = {name: torch.from_numpy(mask / np.float32(255)) for name, mask in maps.items()}
        return place, Masks(pixels, self.network.config.unet.mask_rule)

    @contextmanager
    def _at_work(self, part: nn.Module) -> Iterator[None]:
        """With offloading, a network is on the device only while it is used."""
        part.to(self.device)
        try:
            yield
        finally:
            if self.running.offload:
                part.to("cpu")

    def _facts(self, request: Request, out: Path, measured: Measured, sizes: list, seconds: float) -> dict:
        length = float(len(sizes) / request.fps)
        return {
            "out": str(out),
            "seconds": round(length, 3),
            "frames": len(sizes),
            "fps": float(request.fps),
            "width": sizes[0][1],
            "height": sizes[0][0],
            "tier": self.tier,
            "seed": request.seed,
            "gates": measured.gates,
            "regions": request.regions,
            "faces_found": measured.faces_found,
            "driver_frames_filled": measured.filled,
            "timings": {"total": round(seconds, 3)},
            "realtime_factor": round(seconds / length, 3),
            "peak_memory_mb": peak_memory_mb(),
            "trained": self.trained,
            "recipe": str(out.with_suffix(".json")),
        } | ({} if self.trained else {"warning": UNTRAINED})


def _device(name: str | None) -> torch.device:
    """The device of this name, or a GPU if there is one."""
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The device {name} cannot be used ({str(error).splitlines()[0]}); choose cpu.") from error
    return device


def sampling_of(request: Request, running: Running) -> VideoSampling:
    """The preset, with what was chosen in its values' places, and the request's steps and guidance.

    `guidance` and a signal's strength multiply how that signal pushes.
    """
    base = FAST if running.preset == "fast" else VideoSampling()
    levels = SCHEDULES[running.schedule] if running.schedule else base.levels
    own = {name: value for name in OWN if (value := getattr(running, name)) is not None}
    appearance, audio, video = base.scales
    strengths = request.strengths
    scales = (
        appearance,
        audio * request.guidance * strengths["audio"],
        video * request.guidance * strengths["video"],
    )
    return replace(base, steps=len(levels or range(request.steps)), levels=levels, scales=scales, **own)
