"""The warp at pixel level: triangles to a sampling map, the map to pixels, and the finished foreground over its plate.

Arrays are (h, w, ...); coordinates are pixels with whole numbers at pixel centres.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

UNCOVERED = -99.0  # a place outside every picture: samples nothing
FAR = 1e9
EDGE = 1e-4  # barycentric slack, so that neighbouring triangles leave no crack
FOLD = 1.2  # px of surplus step in the sampling map that counts as a fold or as too coarse


@dataclass(frozen=True)
class SamplingMap:
    """Where each pixel comes from: `source` (h, w, 2) float32 x and y, and `light` (h, w) float32 brightness factor."""

    source: np.ndarray
    light: np.ndarray
    depth: np.ndarray

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> "SamplingMap":
        """Nothing covered, light unchanged."""
        return cls(
            np.full((*shape, 2), UNCOVERED, np.float32), np.ones(shape, np.float32), np.full(shape, FAR, np.float32)
        )

    def draw(self, triangles: np.ndarray, screen: np.ndarray, rest: np.ndarray, light: np.ndarray, solid: bool) -> None:
        """Draw triangles (n, 3) whose vertices went from `rest` (m, 2) to `screen` (m, 3) with brightness (m,).

        Triangles seen from behind are left out. Solid ones hide what is deeper; the others paint over in order.
        """
        screen, rest, light = screen.astype(np.float32), rest.astype(np.float32), light.astype(np.float32)
        _rasterise(triangles, screen, rest, light, solid, self.source, self.light, self.depth)

    def sample(self, picture: np.ndarray) -> np.ndarray:
        """The picture (h, w, c) seen through the map; nothing (0) where the map is uncovered."""
        return cv2.remap(picture, self.source, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)


@njit(cache=True, fastmath=True, inline="always")
def _clip_span(first: float, last: float, weight: float, step: float) -> tuple[float, float]:
    """The part of [first, last] where weight + step * x >= -EDGE."""
    if step > 0:
        first = max(first, (-EDGE - weight) / step)
    elif step < 0:
        last = min(last, (-EDGE - weight) / step)
    elif weight < -EDGE:
        last = first - 1
    return first, last


@njit(cache=True, fastmath=True)
def _rasterise(triangles, screen, rest, light, solid, source, out_light, depth):  # noqa: ANN001, ANN202
    height, width = depth.shape
    for a, b, c in triangles:
        ax, ay, az = screen[a]
        bx, by = screen[b, 0] - ax, screen[b, 1] - ay
        cx, cy = screen[c, 0] - ax, screen[c, 1] - ay
        area = bx * cy - by * cx
        if area <= 1e-6:
            continue
        # barycentric weights of b and c are linear in x and y
        b_dx, b_dy, c_dx, c_dy = cy / area, -cx / area, -by / area, bx / area
        top, bottom = ay + min(0.0, by, cy), ay + max(0.0, by, cy)
        left, right = ax + min(0.0, bx, cx), ax + max(0.0, bx, cx)
        for y in range(max(0, int(np.ceil(top - EDGE))), min(height - 1, int(np.floor(bottom + EDGE))) + 1):
            wb, wc = (y - ay) * b_dy - ax * b_dx, (y - ay) * c_dy - ax * c_dx
            first, last = _clip_span(left - 1, right + 1, wb, b_dx)
            first, last = _clip_span(first, last, wc, c_dx)
            first, last = _clip_span(first, last, 1 - wb - wc, -b_dx - c_dx)
            for x in range(max(0, int(np.ceil(first))), min(width - 1, int(np.floor(last))) + 1):
                pb, pc = wb + x * b_dx, wc + x * c_dx
                if solid:
                    z = az + pb * (screen[b, 2] - az) + pc * (screen[c, 2] - az)
                    if z >= depth[y, x]:
                        continue
                    depth[y, x] = z
                pa = 1 - pb - pc
                source[y, x, 0] = pa * rest[a, 0] + pb * rest[b, 0] + pc * rest[c, 0]
                source[y, x, 1] = pa * rest[a, 1] + pb * rest[b, 1] + pc * rest[c, 1]
                out_light[y, x] = pa * light[a] + pb * light[b] + pc * light[c]


@njit(cache=True)
def soften_folds(picture, source):  # noqa: ANN001, ANN201
    """Blur a (h, w, c) picture, in place, by a 3 x 3 binomial only where its sampling map (h, w, 2) jumps."""
    height, width, channels = picture.shape
    above, row = picture[0].copy(), picture[0].copy()
    for y in range(1, height - 1):
        row[:] = picture[y]
        for x in range(1, width - 1):
            here = source[y, x]
            steps_x = max(abs(source[y, x + 1, 0] - here[0] - 1), abs(here[0] - source[y, x - 1, 0] - 1))
            steps_y = max(abs(source[y + 1, x, 1] - here[1] - 1), abs(here[1] - source[y - 1, x, 1] - 1))
            if max(steps_x, steps_y) <= FOLD:
                continue
            below = picture[y + 1]
            for k in range(channels):
                corners = int(above[x - 1, k]) + above[x + 1, k] + below[x - 1, k] + below[x + 1, k]
                sides = int(above[x, k]) + below[x, k] + row[x - 1, k] + row[x + 1, k]
                picture[y, x, k] = (4 * int(row[x, k]) + 2 * sides + corners + 8) // 16
        above[:] = row


@njit(cache=True)
def over_plate(foreground, light, plate):  # noqa: ANN001, ANN201
    """(h, w, 3) uint8: a premultiplied foreground (h, w, 4) int16, lit by (h, w), over an opaque plate (h, w, 3)."""
    out = np.empty_like(plate)
    for y in range(plate.shape[0]):
        for x in range(plate.shape[1]):
            through = 255 - foreground[y, x, 3]
            for k in range(3):
                behind = (int(plate[y, x, k]) * through + 127) // 255
                value = foreground[y, x, k] * light[y, x] + behind
                out[y, x, k] = int(min(max(value, 0.0), 255.0) + 0.5)
    return out


def premultiplied(picture: np.ndarray, matte: np.ndarray, plate: np.ndarray) -> np.ndarray:
    """(h, w, 4) int16: what the picture adds to its plate, and the matte; put over the plate it is the picture exactly.

    picture, plate: (h, w, 3) uint8; matte: (h, w) uint8. Stray hair that the matte misses stays in the difference.
    """
    behind = (plate.astype(np.int32) * (255 - matte.astype(np.int32))[..., None] + 127) // 255
    return np.dstack([picture - behind, matte]).astype(np.int16)
