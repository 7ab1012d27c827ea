"""The warp at pixel level: triangles to a sampling map, and the picture seen through that map over its plate.

Arrays are (h, w, ...); coordinates are pixels with whole numbers at pixel centres.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.ndimage import binary_dilation

UNCOVERED = -99.0  # a place outside every picture: samples nothing
FAR = 1e9
EDGE = 1e-4  # barycentric slack, so that neighbouring triangles leave no crack
FOLD = 1.2  # px of surplus step in the sampling map that counts as a fold or as too coarse
PAD = 3  # px of nothing around a cut-out, so that every sample has its neighbours
FRACTION_BITS = 5  # sampling tells 32 places between two pixels apart
FRACTIONS = 1 << FRACTION_BITS


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


@dataclass(frozen=True)
class CutOut:
    """What moves of a picture: its difference from the plate behind, premultiplied, with its matte.

    Put back where it was, it gives the picture exactly. Stray hair that the matte misses stays in the difference.
    """

    pixels: np.ndarray  # (h + 6, w + 6, 4) float32, RGB and matte 0..255
    near: np.ndarray  # (h + 6, w + 6) bool, where sampling finds anything

    @classmethod
    def of(cls, picture: np.ndarray, matte: np.ndarray, plate: np.ndarray) -> "CutOut":
        """From a picture (h, w, 3), matte (h, w) and plate (h, w, 3), all uint8."""
        through = (255 - matte.astype(np.float32)) / 255
        pixels = np.dstack([picture - plate * through[..., None], matte]).astype(np.float32)
        pixels = np.pad(pixels, ((PAD, PAD), (PAD, PAD), (0, 0)))
        return cls(pixels, binary_dilation((np.abs(pixels) > 0.5).any(2), np.ones((5, 5))))

    def over(self, plate: np.ndarray, where: SamplingMap) -> np.ndarray:
        """(h, w, 3) uint8: the cut-out seen through a sampling map, lit by it, over a plate (h, w, 3) uint8."""
        frame = plate.copy()
        _sample_over(self.pixels, self.near, where.source, where.light, _CUBIC, _LANES, frame)
        _soften_folds(frame, where.source)
        return frame


def _cubic_weights() -> np.ndarray:
    """(32, 4) weights of the four nearest pixels, by Keys' cubic kernel with a = -0.75, which keeps detail crisp."""
    fraction = np.arange(FRACTIONS)[:, None] / FRACTIONS
    distance = np.abs(fraction - np.arange(-1, 3))
    near = (1.25 * distance - 2.25) * distance**2 + 1
    far = -0.75 * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, far).astype(np.float32)


_CUBIC = _cubic_weights()
_LANES = 16
_U = np.uint64
_FINE, _ONE, _WHITE = np.float32(FRACTIONS), np.float32(1), np.float32(255)


@njit(cache=True, fastmath=True, nogil=True)
def _sample_over(pixels, near, source, light, cubic, lanes, frame):  # noqa: ANN001, ANN202
    """Indices are unsigned, as signed ones are each asked whether they count from the end; `lanes` is 16, four pixels
    of a row, and an argument lest their loop be unrolled before it is made one of vectors."""
    height, width = near.shape
    lines = pixels.reshape(height, 4 * width)
    column_sums = np.empty(16, np.float32)
    low, right, bottom = (1 - PAD) * FRACTIONS, (width - 2 - PAD) * FRACTIONS, (height - 2 - PAD) * FRACTIONS
    for y in range(_U(light.shape[0])):
        for x in range(_U(light.shape[1])):
            at_x = np.int32(np.rint(source[y, x, 0] * _FINE))
            at_y = np.int32(np.rint(source[y, x, 1] * _FINE))
            if at_x < low or at_y < low or at_x >= right or at_y >= bottom:
                continue
            column, row = _U((at_x >> FRACTION_BITS) + PAD), _U((at_y >> FRACTION_BITS) + PAD)
            if not near[row, column]:
                continue
            i, j, start = _U(at_x & (FRACTIONS - 1)), _U(at_y & (FRACTIONS - 1)), _U(4) * (column - _U(1))
            d0, d1, d2, d3 = cubic[j, _U(0)], cubic[j, _U(1)], cubic[j, _U(2)], cubic[j, _U(3)]
            for k in range(_U(lanes)):
                above = d0 * lines[row - _U(1), start + k] + d1 * lines[row, start + k]
                below = d2 * lines[row + _U(1), start + k] + d3 * lines[row + _U(2), start + k]
                column_sums[k] = above + below
            a0, a1, a2, a3 = cubic[i, _U(0)], cubic[i, _U(1)], cubic[i, _U(2)], cubic[i, _U(3)]
            matte = a0 * column_sums[3] + a1 * column_sums[7] + a2 * column_sums[11] + a3 * column_sums[15]
            through, lit = _ONE - matte / _WHITE, light[y, x]
            for k in range(_U(3)):
                left = a0 * column_sums[k] + a1 * column_sums[k + _U(4)]
                value = left + a2 * column_sums[k + _U(8)] + a3 * column_sums[k + _U(12)]
                value = value * lit + through * frame[y, x, k] + np.float32(0.5)
                frame[y, x, k] = np.int32(min(max(value, np.float32(0)), _WHITE))


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


@njit(cache=True, fastmath=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _jumps(source):  # noqa: ANN001, ANN202
    """(h, w) bool: where a sampling map (h, w, 2) does not step on by about one pixel; False at the borders."""
    height, width = source.shape[:2]
    jumps, fold = np.zeros((height, width), np.bool_), np.float32(FOLD)
    for y in range(_U(1), _U(height - 1)):
        for x in range(_U(1), _U(width - 1)):
            here_x, here_y = source[y, x, 0], source[y, x, 1]
            right = abs(source[y, x + _U(1), 0] - here_x - _ONE) > fold
            left = abs(here_x - source[y, x - _U(1), 0] - _ONE) > fold
            below = abs(source[y + _U(1), x, 1] - here_y - _ONE) > fold
            above = abs(here_y - source[y - _U(1), x, 1] - _ONE) > fold
            jumps[y, x] = right | left | below | above
    return jumps


@njit(cache=True, nogil=True)
def _soften_folds(picture, source):  # noqa: ANN001, ANN202
    """Blur a (h, w, c) picture, in place, by a 3 x 3 binomial only where its sampling map (h, w, 2) jumps."""
    jumps, own = _jumps(source), picture.copy()
    height, width, channels = picture.shape
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if not jumps[y, x]:
                continue
            for k in range(channels):
                corners = int(own[y - 1, x - 1, k]) + own[y - 1, x + 1, k] + own[y + 1, x - 1, k] + own[y + 1, x + 1, k]
                sides = int(own[y - 1, x, k]) + own[y + 1, x, k] + own[y, x - 1, k] + own[y, x + 1, k]
                picture[y, x, k] = (4 * int(own[y, x, k]) + 2 * sides + corners + 8) // 16
