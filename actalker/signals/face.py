"""Faces: where they are in a picture, and 478 precise mesh points for each (mediapipe's face mesh, offline)."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from actalker.errors import InputError
from actalker.signals.mesh import CHIN, FOREHEAD_TOP, LIPS, NOSE_TIP, OUTER_EYE_CORNERS

FACE_SHARE = 0.46  # face height (forehead to chin) over the side of a talking-head crop
TIGHTEST_SHARE = 0.62  # how tight a crop may get before it reaches beyond a small picture
FACE_LEVEL = 0.57  # height of the face's centre in the crop; leaves 12 % above ordinary hair
MESH_SIZE = 512  # px, side of the square that the mesh is measured in
SEARCH_SIDE = 2400  # px, long side of the picture that faces are searched in
TILE_SIZE = 256  # px, what one look of the detector sees
DETECTOR_SCORE = 0.5
MESH_SCORE = 0.5
THOROUGH_EVERY = 12  # searches for a lost face in a clip, of which one is thorough
# One of mediapipe's landmarks as protocol buffers write it: its kind and length, then x, y and z behind a byte each.
ON_THE_WIRE = np.dtype([("begins", "V3"), ("x", "<f4"), ("to_y", "V1"), ("y", "<f4"), ("to_z", "V1"), ("z", "<f4")])
UPRIGHT_BONUS = 0.1  # a picture is taken to be upright unless another way up looks this much better


@dataclass(frozen=True)
class Face:
    """One face: mesh `points` (478, 3) in px of the picture (negative z is nearer) and their `box` (x0, y0, x1, y1)."""

    points: np.ndarray
    box: tuple[float, float, float, float]

    @classmethod
    def of(cls, points: np.ndarray) -> "Face":
        """The face with these mesh points (478, 3)."""
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        return cls(points, (float(low[0]), float(low[1]), float(high[0]), float(high[1])))

    @property
    def centre(self) -> np.ndarray:
        """(x, y) in px, middle of the box."""
        return np.array([self.box[0] + self.box[2], self.box[1] + self.box[3]]) / 2

    @property
    def height(self) -> float:
        """Distance from forehead to chin in px."""
        return float(np.linalg.norm(self.points[FOREHEAD_TOP, :2] - self.points[CHIN, :2]))

    @property
    def area(self) -> float:
        """Area of the box in px squared."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    @property
    def iod(self) -> float:
        """Distance between the outer eye corners in px: the unit of all motion."""
        return float(np.linalg.norm(np.subtract(*self.points[list(OUTER_EYE_CORNERS)])))


@dataclass(frozen=True)
class Crop:
    """A square of a picture: its top left corner (x, y) and side in px. It may reach beyond the picture."""

    x: float
    y: float
    side: float

    def matrix(self, size: int) -> np.ndarray:
        """(2, 3) affine map from px of the picture to px of the crop at `size` x `size`; pixel centres at integers."""
        scale = size / self.side
        shift = 0.5 * scale - 0.5
        return np.array([[scale, 0, shift - scale * self.x], [0, scale, shift - scale * self.y]])

    def cut(self, picture: np.ndarray, size: int, sharp: bool = True) -> np.ndarray:
        """The crop as (size, size, channels); edges of the picture are repeated where it reaches beyond.

        `sharp` is for eyes: networks, which resample anyway, are served as well by the five times faster linear filter.
        """
        near, left, top = self._neighbourhood(picture)
        matrix = Crop(self.x - left, self.y - top, self.side).matrix(size)
        picture, matrix = _shrunk_for(near, matrix) if matrix[0, 0] < 0.7 else (near, matrix)
        flags = (cv2.INTER_LANCZOS4 if matrix[0, 0] > 1.01 else cv2.INTER_CUBIC) if sharp else cv2.INTER_LINEAR
        return cv2.warpAffine(picture, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def _neighbourhood(self, picture: np.ndarray) -> tuple[np.ndarray, int, int]:
        """The part of the picture that the crop can touch, never empty, and its left and top."""
        height, width = picture.shape[:2]
        margin = 4 + self.side / 16
        left, right = np.clip([self.x - margin, self.x + self.side + margin], (0, 1), (width - 1, width)).astype(int)
        top, bottom = np.clip([self.y - margin, self.y + self.side + margin], (0, 1), (height - 1, height)).astype(int)
        return picture[top:bottom, left:right], int(left), int(top)

    def to_crop(self, points: np.ndarray, size: int) -> np.ndarray:
        """Points (n, 3) of the picture in pixels of the crop; z is scaled along."""
        matrix = self.matrix(size)
        return points * matrix[0, 0] + np.array([*matrix[:, 2], 0.0])

    def to_picture(self, points: np.ndarray, size: int) -> np.ndarray:
        """Points (n, 3) of the crop in pixels of the picture; z is scaled along."""
        matrix = self.matrix(size)
        return (points - np.array([*matrix[:, 2], 0.0])) / matrix[0, 0]


@dataclass(frozen=True)
class _Sight:
    """Something that the detector takes for a face."""

    score: float
    square: Crop


def find_faces(image: np.ndarray, thorough: bool = True) -> list[Face]:
    """All human faces in an RGB picture (h, w, 3), largest first.

    A thorough search also finds small faces and faces that lie on their side or upside down; it takes half a second at
    most, and a tenth where an upright face is plain to see.
    """
    scale = min(1.0, SEARCH_SIDE / max(image.shape[:2]))
    small = image if scale == 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = image.shape[:2]
    turns, squares = _search(small, thorough)
    squares = [Crop(square.x / scale, square.y / scale, square.side / scale) for square in squares]
    points = _measure_all(np.ascontiguousarray(np.rot90(image, turns)), squares)
    faces = [Face.of(_turned_back(mesh, turns, width, height)) for mesh in points]
    return sorted(faces, key=lambda face: -face.area)


def choose_face(faces: list[Face], index: int | None = None, name: str = "the photo") -> Face:
    """The face to animate: the largest, or the one numbered `index` in the order of `find_faces`."""
    title = name[:1].upper() + name[1:]
    if not faces:
        raise InputError(f"No human face was found in {name}; use a picture that shows a face from the front.")
    if index is None:
        return faces[0]
    if not 0 <= index < len(faces):
        shown = "1 face, numbered 0" if len(faces) == 1 else f"{len(faces)} faces, numbered 0 to {len(faces) - 1}"
        raise InputError(f"{title} shows {shown} from the largest; --face {index} does not exist.")
    return faces[index]


def crop_of(face: Face, shape: tuple[int, ...]) -> Crop:
    """The talking-head square around a face in a picture of `shape` (h, w, ...): the face is 0.46 of its side.

    The square moves, and gets tighter, to stay within the picture as long as the head keeps its room.
    """
    height, width = shape[:2]
    side = face.height / FACE_SHARE
    side = max(min(side, height, width), face.height / TIGHTEST_SHARE)
    left, top = face.centre - side * np.array([0.5, FACE_LEVEL])
    slack = 0.1 * side
    return Crop(_nudged(left, side, width, slack), _nudged(top, side, height, slack), side)


@dataclass(frozen=True)
class Glance:
    """An RGB frame (h, w, 3), the window in which its face is expected, and what is seen there (512, 512, 3)."""

    frame: np.ndarray
    window: Crop | None = None
    cut: np.ndarray | None = None


class FaceTracker:
    """Follows one face through the frames of a clip; use as a context manager."""

    def __init__(self) -> None:
        self._mesh = _face_mesh(still=False)
        self._face: Face | None = None
        self._window: Crop | None = None
        self._searches = 0

    def __enter__(self) -> "FaceTracker":
        return self

    def __exit__(self, *_: object) -> None:
        self._mesh.close()

    def glance(self, frame: np.ndarray) -> Glance:
        """What `points` takes in place of a frame: another thread may prepare it while a frame before is measured."""
        window = self._window
        return Glance(frame, window, window and _seen_in(window, frame))

    def points(self, frame: np.ndarray | Glance) -> np.ndarray | None:
        """Mesh points (478, 3) in px of the face in an RGB frame (h, w, 3), or None where it is lost."""
        glance = frame if isinstance(frame, Glance) else Glance(frame)
        face = self._face and self._follow(glance, self._face)
        self._face = face or self._search(glance.frame)
        return self._face and self._face.points

    def _search(self, frame: np.ndarray) -> Face | None:
        """The largest face, looked for thoroughly now and then where none is plain to see."""
        faces = find_faces(frame, thorough=False)
        if not faces and self._searches % THOROUGH_EVERY == 0:
            faces = find_faces(frame)
        self._searches += 1
        return next(iter(faces), None)

    def _follow(self, glance: Glance, last: Face) -> Face | None:
        # The window rests while the face is well inside: mediapipe carries its own region from frame to frame, and a
        # window that moved with every measurement would make the points swing.
        wanted = _square_around(last)
        moved = self._window is None or not _nearly_same(self._window, wanted)
        if moved:
            self._window = wanted
        fits = glance.cut is not None and glance.window is self._window
        seen = glance.cut if fits else _seen_in(self._window, glance.frame)
        if moved:
            _measure_seen(self._mesh, seen, self._window)  # moves mediapipe's region along
        face = _measure_seen(self._mesh, seen, self._window)
        return face if face is not None and _same_place(face, last) else None


def _measure_all(image: np.ndarray, squares: list[Crop]) -> list[np.ndarray]:
    """Mesh points of every face that is really there, each once."""
    faces: list[Face] = []
    with _face_mesh(still=True) as mesh:
        for square in squares:
            if any(_is_of(square, face) for face in faces):
                continue
            face = _precise_face(mesh, image, square)
            if face is not None and not any(_same_place(face, other) for other in faces):
                faces.append(face)
    return [face.points for face in faces]


def _precise_face(mesh: object, image: np.ndarray, where: Crop) -> Face | None:
    """Measure twice: roughly where the detector pointed, then in a square fitted to the mesh itself."""
    rough = _measure(mesh, image, where)
    face = rough and _measure(mesh, image, _square_around(rough))
    return face if face is not None and _is_plausible(face) else None


def _measure(mesh: object, image: np.ndarray, where: Crop) -> Face | None:
    return _measure_seen(mesh, _seen_in(where, image), where)


def _seen_in(where: Crop, image: np.ndarray) -> np.ndarray:
    return where.cut(image, MESH_SIZE, sharp=False)


def _measure_seen(mesh: object, seen: np.ndarray, where: Crop) -> Face | None:
    """The face in what is seen (512, 512, 3) in a square of a picture, in px of that picture."""
    landmarks = mesh.process(seen).multi_face_landmarks
    if not landmarks:
        return None
    return Face.of(where.to_picture(_unit_points(landmarks[0]) * MESH_SIZE - np.array([0.5, 0.5, 0]), MESH_SIZE))


def _unit_points(landmarks: object) -> np.ndarray:
    """x, y and z (n, 3) of a NormalizedLandmarkList, in a tenth of the time that asking each for its own takes."""
    points = np.frombuffer(landmarks.SerializeToString(), ON_THE_WIRE)
    return np.stack([points["x"], points["y"], points["z"]], axis=1).astype(float)


def _is_plausible(face: Face) -> bool:
    """Nose, mouth and chin lie below the eyes in this order and in sane proportions."""
    points = face.points[:, :2]
    left, right = points[list(OUTER_EYE_CORNERS)]
    across = right - left
    down = np.array([-across[1], across[0]]) / (across @ across)  # one eye distance is 1
    parts = (points[NOSE_TIP], points[list(LIPS)].mean(axis=0), points[CHIN])
    nose, mouth, chin = (float((part - (left + right) / 2) @ down) for part in parts)
    return 0.1 < nose < mouth < chin < 4


def _search(image: np.ndarray, thorough: bool) -> tuple[int, list[Crop]]:
    """How many quarter turns set the picture upright, and squares of the turned picture that may hold a face."""
    sights: list[list[_Sight]] = []
    best: list[float] = []
    with _detector(far=False) as near, _detector(far=True) as far:
        for turns in range(4 if thorough else 1):
            picture = np.ascontiguousarray(np.rot90(image, turns))
            sights.append(_look(near, picture, 1) + _look(far, picture, 1))
            if thorough:
                sights[-1] += _look(far, picture, 2)
            best.append(max((sight.score for sight in sights[-1]), default=0.0) + (0 if turns else UPRIGHT_BONUS))
            if best[0] >= 1:  # nothing looks better than that
                break
        if thorough and not any(sights):
            sights[0] = _look(far, image, 4)
    turns = int(np.argmax(best))
    return turns, [sight.square for sight in sights[turns]]


def _tiles(shape: tuple[int, ...], parts: int) -> Iterator[Crop]:
    """Squares of 1 / parts of the long side, each overlapping the next by half, that cover the picture."""
    height, width = shape[:2]
    side = max(height, width) / parts
    for top in _starts(height, side):
        for left in _starts(width, side):
            yield Crop(left, top, side)


def _starts(length: float, side: float) -> np.ndarray:
    if length <= side:
        return np.array([(length - side) / 2])
    return np.linspace(0, length - side, int(np.ceil((length - side) / (side / 2))) + 1)


def _look(detector: object, image: np.ndarray, parts: int) -> list[_Sight]:
    """What the detector sees in tiles of 1 / parts of the picture."""
    sights = []
    for tile in _tiles(image.shape, parts):
        for detection in detector.process(tile.cut(image, TILE_SIZE, sharp=False)).detections or []:
            box = detection.location_data.relative_bounding_box
            side = 2 * max(box.width, box.height)
            x, y = box.xmin + (box.width - side) / 2, box.ymin + (box.height - side) / 2
            square = Crop(tile.x + x * tile.side, tile.y + y * tile.side, side * tile.side)
            sights.append(_Sight(detection.score[0], square))
    return sights


def _square_around(face: Face) -> Crop:
    side = max(face.height, face.box[2] - face.box[0]) / FACE_SHARE
    return Crop(face.centre[0] - side / 2, face.centre[1] - side / 2, side)


def _nearly_same(square: Crop, other: Crop) -> bool:
    shift = max(abs(square.x - other.x), abs(square.y - other.y), abs(square.side - other.side))
    return shift < 0.15 * square.side


def _same_place(face: Face, other: Face) -> bool:
    return float(np.linalg.norm(face.centre - other.centre)) < 0.5 * max(face.height, other.height)


def _is_of(square: Crop, face: Face) -> bool:
    """Whether what was seen in this square can be no other face."""
    centre = np.array([square.x, square.y]) + square.side / 2
    return float(np.linalg.norm(face.centre - centre)) < 0.25 * face.height


def _turned_back(points: np.ndarray, turns: int, width: int, height: int) -> np.ndarray:
    """Points of `np.rot90(picture, turns)` as points of the picture, which is `width` x `height`."""
    x, y, z = points.T
    turned = {
        0: (x, y),
        1: (width - 1 - y, x),
        2: (width - 1 - x, height - 1 - y),
        3: (y, height - 1 - x),
    }
    return np.stack([*turned[turns], z], axis=1)


def _nudged(start: float, side: float, length: int, slack: float) -> float:
    """`start` moved by at most `slack` towards a place where [start, start + side] lies within [0, length]."""
    inside = (length - side) / 2 if side > length else np.clip(start, 0, length - side)
    return float(np.clip(inside, start - slack, start + slack))


def _shrunk_for(picture: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reduce by area averaging first, so that a large picture does not alias."""
    height, width = picture.shape[:2]
    size = (max(1, round(width * matrix[0, 0])), max(1, round(height * matrix[0, 0])))
    ratio = np.array([size[0] / width, size[1] / height])
    scale = matrix[0, 0] / ratio
    shift = matrix[:, 2] + 0.5 * scale * (1 - ratio)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return small, np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])


def _detector(far: bool) -> object:
    import mediapipe

    return mediapipe.solutions.face_detection.FaceDetection(DETECTOR_SCORE, model_selection=int(far))


def _face_mesh(still: bool) -> object:
    import mediapipe

    return mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=still, max_num_faces=1, refine_landmarks=True, min_detection_confidence=MESH_SCORE
    )
