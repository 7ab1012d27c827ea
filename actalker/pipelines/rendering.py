"""Frames into files as they are rendered: the whole video, and beside it pieces that can be played meanwhile."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from fractions import Fraction
from pathlib import Path

import numpy as np

from actalker.pipelines.request import Cancelled, Request
from actalker.pipelines.stages import Measured
from actalker.signals.media import Marks, Sound, VideoWriter

FIRST_PIECE = 0.5  # seconds; each further piece is twice as long, up to what was asked for
LEAST_KEPT = 1.0  # seconds of a video that was cancelled, below which it is not kept


class Pieces:
    """A video of `total` frames in pieces, each an mp4 of its own that is handed out when it is complete.

    Played one after the other they are the whole video. They lie beside `out` as `NAME.piece-000.mp4` and so on, and
    belong to whoever gets them. Without `hand_out` none are made.
    """

    def __init__(
        self,
        out: Path,
        total: int,
        fps: Fraction,
        sound: Sound | None,
        hand_out: Callable[[Path], None] | None,
        seconds: float,
        marks: Marks | None = None,
    ) -> None:
        self._out, self._fps, self._sound, self._hand_out, self._marks = out, fps, sound, hand_out, marks
        self._ends = piece_ends(total, fps, seconds) if hand_out else []
        self._done, self._number = 0, 0
        self._writer: VideoWriter | None = None

    def __enter__(self) -> "Pieces":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.__exit__()

    def add(self, frame: np.ndarray) -> None:
        """Take the next frame (h, w, 3) uint8, and hand out the piece if that was its last."""
        if self._hand_out is None:
            return
        if self._writer is None:
            self._writer = VideoWriter(self._path, self._fps, self._sound, self._marks, self._first_sample, hasty=True)
        self._writer.add(frame)
        self._done += 1
        if self._done == self._ends[self._number]:
            path = self._path
            self._writer.finish()
            self._writer, self._number = None, self._number + 1
            self._hand_out(path)

    @property
    def _path(self) -> Path:
        return self._out.with_name(f"{self._out.stem}.piece-{self._number:03d}.mp4")

    @property
    def _first_sample(self) -> int:
        """What is heard as the piece's first frame is seen."""
        return round(self._done / self._fps * self._sound[1]) if self._sound else 0


def piece_ends(total: int, fps: Fraction, seconds: float) -> list[int]:
    """How many of `total` frames are done at the end of each piece. A short rest is joined to the last piece."""
    ends, length = [0], min(FIRST_PIECE, seconds)
    least = max(1, round(length * fps))
    while ends[-1] < total:
        ends.append(ends[-1] + max(1, round(length * fps)))
        if total - ends[-1] < least:
            ends[-1] = total
        length = min(2 * length, seconds)
    return ends[1:]


def marks_of(request: Request, measured: Measured) -> Marks:
    """How the result is marked. In a whole picture the label keeps away from the face; in a square that is central."""
    if not request.label:
        return Marks(None)
    centre = measured.face.points[:, 0].mean() / measured.photo.shape[1]
    return Marks("left" if request.size == "full" and centre > 0.5 else "right")


def write(
    out: Path,
    frames: Iterable[np.ndarray],
    fps: Fraction,
    sound: Sound | None,
    pieces: Pieces,
    marks: Marks | None = None,
    plain: Path | None = None,
    timed: Callable[[str], AbstractContextManager] = nullcontext,
) -> tuple[int, bool]:
    """Write the frames to `out` and `pieces` as they come: how many there are, and whether it was cancelled.

    `plain` gets them without marks. Where Cancelled is raised meanwhile, what is there becomes a shorter video; under a
    second of it is not kept, and Cancelled goes on.
    """
    cancelled = False
    with ExitStack() as stack:
        video = stack.enter_context(VideoWriter(out, fps, sound, marks))
        unmarked = [stack.enter_context(VideoWriter(plain, fps, sound))] if plain else []
        stack.enter_context(pieces)
        try:
            for frame in frames:
                with timed("encode"):
                    for taker in (video, *unmarked, pieces):
                        taker.add(frame)
        except Cancelled:
            if video.seconds < LEAST_KEPT:
                raise
            cancelled = True
        with timed("encode"):
            for writer in (*unmarked, video):
                writer.finish()
    return video.frames, cancelled
