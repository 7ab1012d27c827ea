"""What the tests of the page share: a pipeline that is quick, files to give it, and a server on a free port."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

import demo
from actalker import config, pipelines
from actalker.errors import InputError
from actalker.pipelines.recipe import write_recipe
from actalker.signals import media
from actalker.signals.motion import Motion
from demo import wishes
from demo.hosting import Place, serve
from demo.runner import Runner

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "assets" / "faces" / "astronaut.jpg"
FRAMES, SIDE = 25, 64


class QuickPipeline:
    """Writes one second of grey instead of a talking head, through the same stages. Keeps the requests it got."""

    def __init__(self) -> None:
        self.requests: list[pipelines.Request] = []
        self.gate = threading.Event()  # rendering waits for it
        self.gate.set()
        self.rendering = threading.Event()
        self.keeps = False  # whether what was rendered before cancelling is long enough
        self.fault: Exception | None = None

    def __call__(
        self,
        request: pipelines.Request,
        out: Path,
        progress: Callable[[str, float], None],
        motion_out: Path | None = None,
        measure: Callable | None = None,  # noqa: ARG002
        chunk: Callable[[Path], None] | None = None,  # noqa: ARG002
    ) -> dict:
        self.requests.append(request)
        request = request.checked()
        for stage in ("measuring", "denoising"):
            progress(stage, 1.0)
        if self.fault:
            out.write_bytes(b"half a video")
            raise self.fault
        cancelled = self._write(out, request, progress)
        write_recipe(out.with_suffix(".json"), request, {})
        if motion_out:
            Motion(np.zeros((FRAMES, len(config.COEFFICIENTS)), np.float32), float(request.fps)).save(motion_out)
        return {
            "seconds": FRAMES / float(request.fps),
            "frames": FRAMES,
            "fps": float(request.fps),
            "width": SIDE,
            "height": SIDE,
            "seed": request.seed,
            "driver_frames_filled": 0,
            "timings": {"total": 0.5},
            "realtime_factor": 0.5,
            "peak_memory_mb": 100,
            "cancelled": cancelled,
        }

    def still(self, request: pipelines.Request, at: float, measure: Callable) -> np.ndarray:  # noqa: ARG002
        measure(request)
        return np.full((SIDE, SIDE, 3), 128, np.uint8)

    def _write(self, out: Path, request: pipelines.Request, progress: Callable[[str, float], None]) -> bool:
        """Whether it was cancelled; then all the same a second is kept, if `keeps` says so."""
        sound = (np.zeros(16000, np.float32), 16000)
        try:
            media.write_video(out, self._frames(progress), request.fps, sound)
        except pipelines.Cancelled:
            if not self.keeps:
                raise
            media.write_video(out, [np.full((SIDE, SIDE, 3), 128, np.uint8)] * FRAMES, request.fps, sound)
            return True
        return False

    def _frames(self, progress: Callable[[str, float], None]) -> Iterator[np.ndarray]:
        for i in range(FRAMES):
            progress("rendering", (i + 1) / FRAMES)
            self.rendering.set()
            while not self.gate.wait(0.02):
                progress("rendering", (i + 1) / FRAMES)
            yield np.full((SIDE, SIDE, 3), 128, np.uint8)


def quick_runner(work: Path, pipeline: QuickPipeline) -> Runner:
    return Runner(work, load=lambda _tier: pipeline)


def widget_values(**given: object) -> dict[str, object]:
    """The widgets' values by name as the page starts with them, but for those given."""
    settings = {name: wishes.REQUEST[name].default for name in (*wishes.MASKS, *wishes.SETTINGS)}
    return {
        **dict.fromkeys(wishes.FILES),
        "face": 1,
        **config.PRESETS[wishes.FIRST_PRESET],
        **settings,
        "fps": 25.0,
        wishes.AGREED: True,
        **given,
    }


def write_tone(path: Path, seconds: float = 1.0, loudness: float = 0.3) -> Path:
    """A voice-like sound as an mp4's sound track, over grey frames: both a voice and a clip without a face."""
    time = np.arange(round(seconds * 16000)) / 16000
    sound = loudness * np.sin(2 * np.pi * 220 * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time))
    frames = (np.full((SIDE, SIDE, 3), 90, np.uint8) for _ in range(max(1, round(seconds * 25))))
    media.write_video(path, frames, 25, (sound.astype(np.float32), 16000))
    return path


@contextmanager
def served(runner: Runner, **place: object) -> Iterator[str]:
    """The page at an address of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    page = demo.build(runner)
    try:
        yield serve(page, runner.work, Place(port=port, **place))
    finally:
        page.close()
        runner.close()


NO_FACE = InputError("No face was found in any frame of the clip; use a clip that shows a face.")


def written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def _plain(path: Path, size: tuple[int, int]) -> str:
    Image.new("RGB", size, "gray").save(path)
    return str(path)


BAD_PHOTOS = {
    "empty": lambda folder: written(folder / "empty.jpg", b""),
    "not what its name says": lambda folder: written(folder / "text.jpg", b"I am not a photo."),
    "three pixels": lambda folder: _plain(folder / "tiny.png", (3, 3)),
    "no face": lambda folder: _plain(folder / "wall.png", (200, 200)),
    "gone": lambda folder: str(folder / "gone.png"),
}

BAD_RECORDINGS = {
    "empty": lambda folder: written(folder / "empty.mp4", b""),
    "not what its name says": lambda folder: written(folder / "text.mp4", b"I am no recording, and no video either."),
    "gone wrong": lambda folder: written(folder / "half.mp4", write_tone(folder / "whole.mp4").read_bytes()[:900]),
}
