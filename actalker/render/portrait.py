"""A photo that can be moved: everything is measured once per photo, then each frame is one `render` call."""

from collections.abc import Mapping

import cv2
import numpy as np

from actalker.config import INDEX, REGIONS
from actalker.render.background import Background, separate
from actalker.render.composite import native_part, square_part
from actalker.render.eyes import Eyes
from actalker.render.light import Light
from actalker.render.mouth import Mouth
from actalker.render.pose import Pose, limited, turning_room
from actalker.render.scene import Frame, Subject
from actalker.render.seam import is_open, snap_to_seam
from actalker.render.surface import Surface, carry, head_share, inward_share, keep_apart
from actalker.render.warp import CutOut, SamplingMap
from actalker.signals import mesh
from actalker.signals.face import Face
from actalker.signals.rig import Rig

FACE_MARGIN = 8  # px around the face that painting may touch
STILL = 0.01  # px that do not count as motion
HEAD_REACH = {True: (2.2, 4.0), False: (1.55, 3.0)}  # face radii over which pose fades; further with a matte
LIGHT_BEYOND_FACE = 0.5  # share of the face's change of light that its surroundings take part in
SMILE_WIDTH = (0.56, 0.72)  # mouth width in face units from which a photo smiles, and where it smiles fully
RELAXED_SMILE = 0.3  # how much of mouthSmile closing a smiling mouth takes away


class Portrait:
    """One face of one photo, ready to be rendered with any coefficients.

    photo: (h, w, 3) uint8 RGB; face: found in it; size: px of the square frames, or "full" for the whole picture with
    the head pasted back; masks: region -> (h, w) in [0, 1] on the photo, where that region may move.
    """

    def __init__(
        self, photo: np.ndarray, face: Face, size: int | str = 512, masks: Mapping[str, np.ndarray] | None = None
    ):
        self._part = native_part(photo, face) if size == "full" else square_part(photo, face, int(size))
        picture, points = self._part.picture, self._part.points(face.points)
        unit = Rig(points).scale
        self.open_mouth = is_open(points, unit)
        if not self.open_mouth:
            points = snap_to_seam(points, picture, unit)
        self._rig = Rig(points)
        self._turning_room = turning_room(self._rig.rotation)
        self._light = Light(picture, points, unit)
        self._prepare_surface(points, masks)
        subject = Subject(picture, points, self._rig, self._light.skin_luma, self.open_mouth)
        self._eyes, self._mouth = Eyes(subject), Mouth(subject)
        self.shape: tuple[int, int, int] = self._part.put_back(picture).shape

    def render(self, values: np.ndarray, seal: float = 0.0) -> np.ndarray:
        """The frame (h, w, 3) uint8 for coefficients (38,); all zero gives the photo. seal: 1 closes an open mouth."""
        values = limited(values, self._turning_room)
        shaped = keep_apart(self._shaped(values, seal))
        pose = Pose.of(values, self._surface.rest[self._surface.face], self._rig.scale)
        screen = carry(self._surface.follow(shaped), self._share, self._inward_share, pose)
        frame = self._warped(screen)
        self._paint(frame, shaped, screen[self._surface.face], values * self._reach, pose)
        return self._part.put_back(frame)

    def _prepare_surface(self, points: np.ndarray, masks: Mapping[str, np.ndarray] | None) -> None:
        picture, rig = self._part.picture, self._rig
        self._surface = Surface(points, rig.scale, picture.shape[:2])
        background = separate(picture, self._surface.outline.points)
        self._plate = background.plate
        self._cut_out = CutOut.of(picture, background.matte, background.plate)
        reach = self._reach_of_regions(masks)
        self._share, self._inward_share = self._pose_shares(background)
        self._share *= min(1.0, 2 * reach["head"].max()) * np.minimum(1, sum(reach.values()))
        self._basis, self._reach = rig.basis.copy(), np.ones(len(INDEX))
        for region, names in REGIONS.items():
            for name in names:
                self._basis[INDEX[name]] *= reach[region][: mesh.VERTICES, None]
                painted = _painted_vertices(region, name)
                self._reach[INDEX[name]] = reach[region][painted].mean() if painted else 1.0
        self._seal = self._closing_displacement() * reach["mouth"][: mesh.VERTICES, None]

    def _pose_shares(self, background: Background) -> tuple[np.ndarray, np.ndarray]:
        """How far the head carries each vertex: (n,) at all, and (2, n, 2) away from the picture's borders.

        The body at the lower border stays, and so does everything where the photo goes on beyond the animated part.
        """
        person, held = background.near_person(), self._part.inner_edges()
        held[-1] |= person[-1]
        if not background.apart:
            held = person
        share = head_share(self._surface, held, HEAD_REACH[background.apart])
        return share, inward_share(self._surface, person)

    def _reach_of_regions(self, masks: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """Region -> (n,) its mask at every vertex; without masks every region reaches everywhere."""
        if masks is None:
            return {region: np.ones(self._surface.size) for region in REGIONS}
        x, y = self._part.photo_points(self._surface.rest[:, :2]).astype(np.float32).T
        return {
            region: cv2.remap(
                np.asarray(masks[region], np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            ).ravel()
            for region in REGIONS
        }

    def _closing_displacement(self) -> np.ndarray:
        """(478, 3) face units that close an open mouth, and relax it if it smiles."""
        if not self.open_mouth:
            return np.zeros_like(self._rig.neutral)
        width = np.linalg.norm(self._rig.neutral[61] - self._rig.neutral[291])
        smiling = np.clip((width - SMILE_WIDTH[0]) / (SMILE_WIDTH[1] - SMILE_WIDTH[0]), 0, 1)
        smile = self._rig.basis[[INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]].sum(0)
        return self._rig.seal - RELAXED_SMILE * smiling * smile

    def _shaped(self, values: np.ndarray, seal: float) -> np.ndarray:
        """(478, 3) mesh in px after expression."""
        face = self._rig.neutral + np.tensordot(values, self._basis, 1) + seal * self._seal
        return self._rig.to_image(face)

    def _warped(self, screen: np.ndarray) -> np.ndarray:
        """The picture with every vertex at `screen` (n, 3), over the plate; mouth and eyes not painted yet."""
        surface, frame = self._surface, self._part.picture.copy()
        rows, columns = self._changing(screen)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return frame
        light = surface.extend(self._light.change(screen[surface.face]), LIGHT_BEYOND_FACE)
        sampling = SamplingMap.empty((rows.stop - rows.start, columns.stop - columns.start))
        screen, rest = screen - (columns.start, rows.start, 0), surface.rest[:, :2]
        sampling.draw(surface.backdrop, screen, rest, light, solid=False)
        sampling.draw(surface.fillers, screen, rest, light, solid=False)
        sampling.draw(surface.skin, screen, rest, light, solid=True)
        frame[rows, columns] = self._cut_out.over(self._plate[rows, columns], sampling)
        return frame

    def _changing(self, screen: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns of the frame that differ from the photo when the vertices are at `screen` (n, 3)."""
        rest = self._surface.rest
        moved = (np.abs(screen - rest)[:, :2] > STILL).any(1)
        touched = np.unique(self._surface.triangles[moved[self._surface.triangles].any(1)])
        return self._box(np.vstack([rest[touched, :2], screen[touched, :2]]), margin=2)

    def _paint(self, frame: np.ndarray, shaped: np.ndarray, posed: np.ndarray, values: np.ndarray, pose: Pose) -> None:
        """Draw eyes and mouth into the frame, in place."""
        rows, columns = self._box(posed[:, :2], FACE_MARGIN)
        canvas = frame[rows, columns].astype(np.float32)
        scene = Frame(canvas, (columns.start, rows.start), shaped, posed, values, pose)
        self._eyes.draw(scene)
        self._mouth.draw(scene)
        frame[rows, columns] = np.clip(canvas + 0.5, 0, 255).astype(np.uint8)

    def _box(self, points: np.ndarray, margin: int) -> tuple[slice, slice]:
        """Rows and columns of the frame that hold the points (n, 2) and a margin; empty without points."""
        height, width = self._plate.shape[:2]
        if not len(points):
            return slice(0, 0), slice(0, 0)
        low = np.clip(np.floor(points.min(0)).astype(int) - margin, 0, (width, height))
        high = np.clip(np.ceil(points.max(0)).astype(int) + margin + 1, 0, (width, height))
        return slice(low[1], high[1]), slice(low[0], high[0])


def _painted_vertices(region: str, name: str) -> list[int]:
    """The vertices whose mask decides how much a painted layer hears of a coefficient; none if nothing is painted."""
    if region == "mouth":
        return list(mesh.LIPS)
    if region == "gaze":
        return [eye.iris for eye in mesh.EYES.values()]
    if region == "eyes":
        return list(mesh.EYES["Left" if name.endswith("Left") else "Right"].contour)
    return []
