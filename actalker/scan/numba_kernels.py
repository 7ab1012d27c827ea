"""The scan's inner loops for a CPU: plain arithmetic on contiguous channels, which LLVM turns into vectors.

Tokens are channel-last: u, delta, z, y (b, l, d). Transition A2 = A log2(e) and the state are (n, d), B and C
(b, g, l, n). A task is one clip and up to `WIDEST` neighbouring channels of one group; it walks the tokens in tiles of
`TILE`, whose values it keeps in scratch rows that fit the nearest caches, so that nothing of size l x d x n exists.

Three things decide the speed. Indices are unsigned, since a signed one may count from the end and would keep LLVM from
vectorising. The exponential is arithmetic, since a vector cannot call the C library's. And sums may be taken in any
order (`LOOSE`) only where no exponential is near: reordering would undo its rounding trick.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

WIDEST = 256  # channels of a task at most
TILE = 32  # tokens between two saved states
TINY = np.float32(1e-30)  # a state below it is zero: arithmetic on denormal numbers is slow
LOG2E = np.float32(1.4426950408889634)
ROUND = np.float32(3 << 22)  # 1.5 x 2^23: adding it leaves the nearest whole number in the lowest bits
# 1 + P1 x + ... + P5 x^5: minimax polynomial of 2**x on [-1/2, 1/2] that is exact at 0, relative error 9e-8.
P1, P2, P3, P4, P5 = (np.float32(c) for c in (0.6931469776, 0.2402224209, 0.0555073374, 0.0096715126, 0.0013264727))
S3, S5, S7, S9, S11, S13 = (np.float32(2 / k) for k in (3, 5, 7, 9, 11, 13))
ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)
ORDERED = {"contract", "nsz", "arcp"}  # fused multiply-add, but no reordering
EXACT = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": ORDERED}
LOOSE = EXACT | {"fastmath": ORDERED | {"reassoc"}}


class Given(NamedTuple):
    """float32 arrays, C-contiguous; z is empty where there is no gate."""

    u: np.ndarray
    delta: np.ndarray
    A2: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray
    bias: np.ndarray
    z: np.ndarray
    softplus: bool


class Part(NamedTuple):
    """The channels of a task: `size` of them from `first` on. `slot` is where its share of the sums for dB, dC goes."""

    clip: np.uint64
    group: np.uint64
    slot: np.uint64
    first: np.uint64
    size: np.uint64


class Span(NamedTuple):
    """The tokens of a tile: `count` rows from `first` on. In reverse the scan meets the last of them first."""

    first: np.uint64
    count: np.uint64
    reverse: bool


class Tile(NamedTuple):
    """Scratch for a tile, (t, i) each: the step, flow = step u, and what becomes y."""

    step: np.ndarray
    flow: np.ndarray
    out: np.ndarray


class Tape(NamedTuple):
    """Scratch for a tile on the way back. (t, n, i): decay = exp(step A), before = the state ahead of the token.

    (t, i): pull = gradient by what stands before the gate, and the sums over n that become gradients by u and delta.
    """

    decay: np.ndarray
    before: np.ndarray
    pull: np.ndarray
    by_flow: np.ndarray
    by_step: np.ndarray


@njit(**EXACT)
def exp2(x):
    """2**x by the whole and the broken part of x; 2**-126 below -126, infinite from 128 on."""
    x = min(max(x, np.float32(-126)), np.float32(128))
    whole = x + ROUND
    f = x - (whole - ROUND)
    p = ((((P5 * f + P4) * f + P3) * f + P2) * f + P1) * f + ONE
    exponent = np.int32(np.float32(whole).view(np.int32) << np.int32(23))
    return np.int32(np.float32(p).view(np.int32) + exponent).view(np.float32)


@njit(**EXACT)
def softplus(x):
    """log(1 + exp(x)) = max(x, 0) + 2 artanh(e / (e + 2)) with e = exp(-|x|), by the series of artanh up to 1/3."""
    e = exp2(-abs(x) * LOG2E)
    s = e / (e + TWO)
    q = s * s
    p = ((((S13 * q + S11) * q + S9) * q + S7) * q + S5) * q + S3
    return max(x, ZERO) + s * (p * q + TWO)


@njit(**EXACT)
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    e = exp2(-abs(x) * LOG2E)
    return (ONE if x >= ZERO else e) / (ONE + e)


@njit(**EXACT)
def part_of(tasks, k):
    """Row k of the tasks (k, 5): clip, group, slot, first channel, number of channels."""
    return Part(tasks[k, 0], tasks[k, 1], tasks[k, 2], tasks[k, 3], tasks[k, 4])


@njit(**EXACT)
def span_of(tile, length, reverse):
    """The tokens of a tile, tiles being counted in the direction of the scan."""
    begin = np.uint64(tile) * np.uint64(TILE)
    count = min(np.uint64(TILE), np.uint64(length) - begin)
    return Span(np.uint64(length) - begin - count if reverse else begin, count, reverse)


@njit(**EXACT)
def turned(span, k):
    """The row of the tile's k-th token, counted from its first row; and the other way about."""
    return span.count - np.uint64(1) - k if span.reverse else k


@njit(**EXACT)
def new_tile():
    return Tile(
        np.empty((TILE, WIDEST), np.float32),
        np.empty((TILE, WIDEST), np.float32),
        np.empty((TILE, WIDEST), np.float32),
    )


@njit(**EXACT)
def load(given, part, span, tile):
    """Step, flow and D u of a tile's tokens."""
    for k in range(span.count):  # rows as they lie in memory, whatever the direction
        row, t = span.first + k, turned(span, k)
        for i in range(part.size):
            at = part.first + i
            x = given.delta[part.clip, row, at] + given.bias[at]
            s = softplus(x) if given.softplus else x
            v = given.u[part.clip, row, at]
            tile.step[t, i] = s
            tile.flow[t, i] = s * v
            tile.out[t, i] = given.D[at] * v


@njit(**EXACT)
def advance(given, part, span, tile, a, h):
    """h = exp(step A) h + flow B, then out += C h, token by token."""
    for t in range(span.count):
        row = span.first + turned(span, t)
        for n in range(len(h)):
            b, c = given.B[part.clip, part.group, row, n], given.C[part.clip, part.group, row, n]
            for i in range(part.size):
                h[n, i] = exp2(tile.step[t, i] * a[n, i]) * h[n, i] + tile.flow[t, i] * b
                tile.out[t, i] += h[n, i] * c


@njit(**EXACT)
def store(given, part, span, tile, y):
    """y = out, times silu(z) where there is a gate."""
    for k in range(span.count):  # rows as they lie in memory, whatever the direction
        row, t = span.first + k, turned(span, k)
        if given.z.size:
            for i in range(part.size):
                v = given.z[part.clip, row, part.first + i]
                y[part.clip, row, part.first + i] = tile.out[t, i] * v * sigmoid(v)
        else:
            for i in range(part.size):
                y[part.clip, row, part.first + i] = tile.out[t, i]


@njit(**EXACT)
def settle(part, h):
    """Make zero what would soon be denormal."""
    for n in range(len(h)):
        for i in range(part.size):
            h[n, i] = ZERO if abs(h[n, i]) < TINY else h[n, i]


@njit(**EXACT)
def take(part, source, target):
    """target (n, i) = the part's channels of source (n, d)."""
    for n in range(len(target)):
        for i in range(part.size):
            target[n, i] = source[n, part.first + i]


@njit(**EXACT)
def put(part, source, target):
    """The part's channels of target (n, d) = source (n, i)."""
    for n in range(len(source)):
        for i in range(part.size):
            target[n, part.first + i] = source[n, i]


@njit(**EXACT)
def forward(tasks, given, start, reverse, y, last, saved):
    """Fill y (b, l, d), last (b, n, d) and, unless it is empty, saved (b, tiles, n, d): states ahead of tiles."""
    length, states = given.u.shape[1], len(given.A2)
    tile = new_tile()
    a = np.empty((states, WIDEST), np.float32)
    h = np.empty((states, WIDEST), np.float32)
    for k in range(len(tasks)):
        part = part_of(tasks, k)
        take(part, given.A2, a)
        take(part, start[part.clip], h)
        for number in range((length + TILE - 1) // TILE):
            span = span_of(number, length, reverse)
            if saved.size:
                put(part, h, saved[part.clip, number])
            load(given, part, span, tile)
            advance(given, part, span, tile, a, h)
            settle(part, h)
            store(given, part, span, tile, y)
        put(part, h, last[part.clip])


@njit(**EXACT)
def replay(given, part, span, tile, tape, a, h):
    """The tile once more from the state h ahead of it, written down."""
    for t in range(span.count):
        row = span.first + turned(span, t)
        for n in range(len(h)):
            b = given.B[part.clip, part.group, row, n]
            for i in range(part.size):
                e = exp2(tile.step[t, i] * a[n, i])
                tape.decay[t, n, i] = e
                tape.before[t, n, i] = h[n, i]
                h[n, i] = e * h[n, i] + tile.flow[t, i] * b


@njit(**EXACT)
def load_pull(given, part, span, tape, dy):
    """The gradient by what stands before the gate."""
    for k in range(span.count):  # rows as they lie in memory, whatever the direction
        row, t = span.first + k, turned(span, k)
        for i in range(part.size):
            tape.pull[t, i] = dy[part.clip, row, part.first + i]
            tape.by_flow[t, i] = ZERO
            tape.by_step[t, i] = ZERO
        if given.z.size:
            for i in range(part.size):
                v = given.z[part.clip, row, part.first + i]
                tape.pull[t, i] *= v * sigmoid(v)


@njit(**LOOSE)
def retreat(given, part, span, tile, tape, a, g, dA, dB, dC):
    """The tile from its last token to its first; g (n, i): gradient by the state after, then ahead of it.

    With g_t = C_t pull_t + a_{t+1} g_{t+1}:  by_flow = sum_n g B,  by_step = sum_n g A2 a h_{t-1},
    dA += g step a h_{t-1},  dB_t = sum_i g flow,  dC_t = sum_i pull h_t,  out += C h_t.
    """
    for back in range(span.count):
        t = span.count - np.uint64(1) - back
        row = span.first + turned(span, t)
        for n in range(len(g)):
            b, c = given.B[part.clip, part.group, row, n], given.C[part.clip, part.group, row, n]
            sum_b, sum_c = ZERO, ZERO
            for i in range(part.size):
                own = g[n, i] + c * tape.pull[t, i]
                kept = tape.decay[t, n, i] * tape.before[t, n, i]
                h = kept + tile.flow[t, i] * b
                flux = own * kept
                tape.by_flow[t, i] += own * b
                tape.by_step[t, i] += flux * a[n, i]
                dA[n, i] += flux * tile.step[t, i]
                tile.out[t, i] += h * c
                sum_b += own * tile.flow[t, i]
                sum_c += tape.pull[t, i] * h
                g[n, i] = own * tape.decay[t, n, i]
            dB[part.clip, part.slot, row, n] = sum_b
            dC[part.clip, part.slot, row, n] = sum_c


@njit(**EXACT)
def store_gradients(given, part, span, tile, tape, dy, du, ddelta, dz, dD, dbias):
    """What the sums of a tile say of its tokens: du, ddelta, dz (b, l, d), and dD, dbias (b, d) added up."""
    for k in range(span.count):  # rows as they lie in memory, whatever the direction
        row, t = span.first + k, turned(span, k)
        for i in range(part.size):
            at = part.first + i
            v = given.u[part.clip, row, at]
            slope = ONE
            if given.softplus:
                slope = sigmoid(given.delta[part.clip, row, at] + given.bias[at])
            dx = slope * (v * tape.by_flow[t, i] + tape.by_step[t, i] / LOG2E)
            du[part.clip, row, at] = given.D[at] * tape.pull[t, i] + tile.step[t, i] * tape.by_flow[t, i]
            ddelta[part.clip, row, at] = dx
            dbias[part.clip, at] += dx
            dD[part.clip, at] += tape.pull[t, i] * v
        if given.z.size:
            for i in range(part.size):
                v = given.z[part.clip, row, part.first + i]
                s = sigmoid(v)
                slope = s * (ONE + v * (ONE - s))
                dz[part.clip, row, part.first + i] = dy[part.clip, row, part.first + i] * tile.out[t, i] * slope


@njit(**EXACT)
def backward(tasks, given, reverse, saved, dy, dlast, du, ddelta, dA, dB, dC, dz, dD, dbias, dstart):
    """Gradients, clip by clip and task by task; dA (b, n, d), dB and dC (b, slots, l, n) are shares to be added up."""
    length, states = given.u.shape[1], len(given.A2)
    tile = new_tile()
    tape = Tape(
        np.empty((TILE, states, WIDEST), np.float32),
        np.empty((TILE, states, WIDEST), np.float32),
        np.empty((TILE, WIDEST), np.float32),
        np.empty((TILE, WIDEST), np.float32),
        np.empty((TILE, WIDEST), np.float32),
    )
    a = np.empty((states, WIDEST), np.float32)
    h = np.empty((states, WIDEST), np.float32)
    g = np.empty((states, WIDEST), np.float32)
    own_dA = np.empty((states, WIDEST), np.float32)
    tiles = (length + TILE - 1) // TILE
    for k in range(len(tasks)):
        part = part_of(tasks, k)
        take(part, given.A2, a)
        take(part, dlast[part.clip], g)
        own_dA[:] = ZERO
        for back in range(tiles):
            number = tiles - 1 - back
            span = span_of(number, length, reverse)
            take(part, saved[part.clip, number], h)
            load(given, part, span, tile)
            replay(given, part, span, tile, tape, a, h)
            load_pull(given, part, span, tape, dy)
            retreat(given, part, span, tile, tape, a, g, own_dA, dB, dC)
            settle(part, g)
            store_gradients(given, part, span, tile, tape, dy, du, ddelta, dz, dD, dbias)
        put(part, own_dA, dA[part.clip])
        put(part, g, dstart[part.clip])
