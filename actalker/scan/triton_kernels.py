"""Triton kernels of the selective scan: the forward pass, what gradients a segment hands back, and all gradients.

A program is one warp: one clip, one segment of time and one block of channels, a lane each. Programs share nothing.
It walks its segment in tiles of TILE tokens and, within a tile, takes one state n after the other. The tokens of a tile
are unrolled: registers cannot be indexed by a running number, and states of many tokens in memory would cost more
traffic than the tokens. So a tile's values are TILE vectors (BLOCK,) in registers, and only what must outlive a tile
for every n, such as the state itself, is kept in memory that belongs to the program.

With s = softplus(delta + bias), a = exp(s A), o = C . h + D u and y = o silu(z), the gradient g of the state h obeys

    g_t = C_t do_t + a_{t+1} g_{t+1}        do = dy silu(z)              dz = dy o silu'(z)
    du = s sum_n g B + D do                 ds = u sum_n g B + sum_n A g a h_{t-1}
    dA = sum_t s g a h_{t-1}                dB = sum_d g s u             dC = sum_d do h

States lie as (b, segment or tile, n, d), channels together. Tiles are counted in the order of the scan.
"""

from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

INTERPRETED = triton.knobs.runtime.interpret  # read here because `triton.jit` reads it when it decorates
LOG2E = tl.constexpr(1.4426950408889634)


class Tokens(NamedTuple):
    """(b, d, l), with its strides."""

    at: Tensor
    clip: int
    channel: int
    token: int


class Groups(NamedTuple):
    """(b, g, n, l), with its strides."""

    at: Tensor
    clip: int
    group: int
    state: int
    token: int


class Weights(NamedTuple):
    """(d, n), with its strides."""

    at: Tensor
    channel: int
    state: int


class Plan(NamedTuple):
    """Sizes: `share` channels a group, `long` tiles a segment. Few: Triton compiles anew at 1 and multiples of 16."""

    length: int
    states: int
    channels: int
    share: int
    long: int


@triton.jit
def _sigmoid(x):
    e = tl.exp(-tl.abs(x))
    return tl.where(x >= 0, 1.0, e) / (1.0 + e)


@triton.jit
def _softplus(x):
    """max(x, 0) + log(1 + e), e = exp(-|x|); log(1 + e) = 2 atanh(e / (2 + e)), a series that is exact for small e."""
    e = tl.exp(-tl.abs(x))
    r = e / (2.0 + e)  # at most 1/3: the first term left out is below 2e-8 of the sum
    q = r * r
    series = q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11 + q * (1 / 13))))))
    return tl.maximum(x, 0.0) + 2.0 * r * (1.0 + series)


@triton.jit
def _place(plan, TILE: tl.constexpr, BLOCK: tl.constexpr):
    """What a program owns: clip, segment among all, its tiles (start, stop), group, block among all, channels (BLOCK,).

    The last says which channels exist, because a block lies within one group.
    """
    tiles, blocks = tl.cdiv(plan.length, TILE), tl.cdiv(plan.share, BLOCK)
    segments, every = tl.cdiv(tiles, plan.long), plan.channels // plan.share * blocks
    program = tl.program_id(0)
    block, segment = program % every, program // every % segments
    clip = tl.cast(program // every // segments, tl.int64)
    group = block // blocks
    channel = group * plan.share + block % blocks * BLOCK + tl.arange(0, BLOCK)
    mine = channel < (group + 1) * plan.share
    start, stop = segment * plan.long, tl.minimum((segment + 1) * plan.long, tiles)
    part = clip * segments + segment
    return clip, part, start, stop, tl.cast(group, tl.int64), clip * every + block, channel.to(tl.int64), mine


@triton.jit
def _row(plan, tile, k: tl.constexpr, REVERSE: tl.constexpr, TILE: tl.constexpr):
    """Where token k of a tile lies."""
    first = tl.cast(plan.length - 1 - tile * TILE if REVERSE else tile * TILE, tl.int64)
    return first - k if REVERSE else first + k


@triton.jit
def _read(x, clip, row, channel, live):
    """(BLOCK,) of a token in float32, zero where there is none."""
    return tl.load(x.at + clip * x.clip + channel * x.channel + row * x.token, mask=live, other=0.0).to(tl.float32)


@triton.jit
def _write(x, value, clip, row, channel, live):
    place = x.at + clip * x.clip + channel * x.channel + row * x.token
    tl.store(place, value.to(x.at.dtype.element_ty), mask=live)


@triton.jit
def _shared(x, clip, group, n, row):
    """Where B or C has state n of a token."""
    return x.at + clip * x.clip + group * x.group + tl.cast(n, tl.int64) * x.state + row * x.token


@triton.jit
def _vector(x, channel, mine):
    """(BLOCK,) of D or the bias in float32, zero if absent."""
    value = tl.zeros_like(channel).to(tl.float32)
    if x is not None:
        value += tl.load(x + channel, mask=mine, other=0.0).to(tl.float32)
    return value


@triton.jit
def _rate(A, channel, n, mine):
    """(BLOCK,) of A for state n in float32."""
    return tl.load(A.at + channel * A.channel + n * A.state, mask=mine, other=0.0).to(tl.float32)


@triton.jit
def _step(delta, bias, clip, row, channel, live, SOFTPLUS: tl.constexpr):
    """(BLOCK,) step sizes; zero where there is no token, which leaves states and gradients as they are."""
    x = _read(delta, clip, row, channel, live) + bias
    return tl.where(live, _softplus(x) if SOFTPLUS else x, 0.0)


@triton.jit
def _gated(x, z, clip, row, channel, live):
    """(BLOCK,) x silu(z)."""
    if z is not None:
        gate = _read(z, clip, row, channel, live)
        x *= gate * _sigmoid(gate)
    return x


@triton.jit
def _onwards(
    steps, gains, outs, a, h, B, C, plan, clip, group, tile, n,
    OUT: tl.constexpr, REVERSE: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """One state through one tile, from h: the state after it, and what it adds to outs if they are wanted."""
    first = _row(plan, tile, 0, REVERSE, TILE)
    b_at, c_at = _shared(B, clip, group, n, first), _shared(C, clip, group, n, first)
    new_outs = ()
    for k in tl.static_range(TILE):
        exists = tile * TILE + k < plan.length
        b = tl.load(b_at, mask=exists, other=0.0).to(tl.float32)
        h = tl.exp2(steps[k] * (a * LOG2E)) * h + gains[k] * b
        if OUT:
            c = tl.load(c_at, mask=exists, other=0.0).to(tl.float32)
            new_outs = new_outs + (outs[k] + c * h,)
        else:
            new_outs = new_outs + (outs[k],)
        b_at += -B.token if REVERSE else B.token
        c_at += -C.token if REVERSE else C.token
    return h, new_outs


@triton.jit
def forward(
    u, delta, A, B, C, D, z, bias, y, states, saved, sums, plan,
    SOFTPLUS: tl.constexpr, REVERSE: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """`states`, before each segment on entry, become those after it; y, and `saved` before each tile if asked for.

    Without y: only what carries time across a segment, its last state and the sum of its steps.
    """
    clip, part, start, stop, group, _, channel, mine = _place(plan, TILE, BLOCK)
    tiles, size = tl.cdiv(plan.length, TILE), plan.states * plan.channels
    own = states + part * size + channel
    skip, shift = _vector(D, channel, mine), _vector(bias, channel, mine)
    total = tl.zeros_like(skip)
    for tile in range(start, stop):
        steps, gains, outs = (), (), ()
        for k in tl.static_range(TILE):
            row, live = _row(plan, tile, k, REVERSE, TILE), mine & (tile * TILE + k < plan.length)
            x = _read(u, clip, row, channel, live)
            step = _step(delta, shift, clip, row, channel, live, SOFTPLUS)
            steps, gains, outs = steps + (step,), gains + (step * x,), outs + (skip * x,)
            total += step
        for n in range(plan.states):
            h = tl.load(own + n * plan.channels, mask=mine, other=0.0)
            if saved is not None:
                tl.store(saved + (clip * tiles + tile) * size + n * plan.channels + channel, h, mask=mine)
            a = _rate(A, channel, n, mine)
            h, outs = _onwards(steps, gains, outs, a, h, B, C, plan, clip, group, tile, n, y is not None, REVERSE, TILE)
            tl.store(own + n * plan.channels, h, mask=mine)
        if y is not None:
            for k in tl.static_range(TILE):
                row, live = _row(plan, tile, k, REVERSE, TILE), mine & (tile * TILE + k < plan.length)
                _write(y, _gated(outs[k], z, clip, row, channel, live), clip, row, channel, live)
        tl.debug_barrier()  # before one lane reads what another wrote to `states`
    if sums is not None:
        tl.store(sums + part * plan.channels + channel, total, mask=mine)


@triton.jit
def handed_back(
    delta, A, C, z, bias, dy, fronts, plan,
    SOFTPLUS: tl.constexpr, REVERSE: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """`fronts`, zero on entry, become the gradient of each segment's first state from its own tokens alone."""
    clip, part, start, stop, group, _, channel, mine = _place(plan, TILE, BLOCK)
    own = fronts + part * plan.states * plan.channels + channel
    shift = _vector(bias, channel, mine)
    for back in range(stop - start):
        tile = stop - 1 - back
        steps, pulls = (), ()
        for k in tl.static_range(TILE):
            row, live = _row(plan, tile, k, REVERSE, TILE), mine & (tile * TILE + k < plan.length)
            steps = steps + (_step(delta, shift, clip, row, channel, live, SOFTPLUS),)
            pulls = pulls + (_gated(_read(dy, clip, row, channel, live), z, clip, row, channel, live),)
        for n in range(plan.states):
            a = _rate(A, channel, n, mine) * LOG2E
            g = tl.load(own + n * plan.channels, mask=mine, other=0.0)
            last = _row(plan, tile, TILE - 1, REVERSE, TILE)
            c_at = _shared(C, clip, group, n, last)
            for k in tl.static_range(TILE - 1, -1, -1):
                c = tl.load(c_at, mask=tile * TILE + k < plan.length, other=0.0).to(tl.float32)
                g = tl.exp2(steps[k] * a) * (g + pulls[k] * c)
                c_at -= -C.token if REVERSE else C.token
            tl.store(own + n * plan.channels, g, mask=mine)
        tl.debug_barrier()  # before one lane reads what another wrote to `fronts`


@triton.jit
def _write_tile(
    sums_b, sums_a, outs, u, delta, D, z, bias, dy, du, ddelta, dz, plan, clip, tile, channel, mine,
    SOFTPLUS: tl.constexpr, REVERSE: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Stores du, ddelta and dz of a tile from its sum_n g B, sum_n A g a h and C . h; its sums of D's and bias's."""
    sum_D, sum_bias = tl.zeros_like(D), tl.zeros_like(D)
    for k in tl.static_range(TILE):
        row, live = _row(plan, tile, k, REVERSE, TILE), mine & (tile * TILE + k < plan.length)
        x, drive = _read(u, clip, row, channel, live), _read(delta, clip, row, channel, live) + bias
        pull = _read(dy, clip, row, channel, live)
        if z is not None:
            gate = _read(z, clip, row, channel, live)
            s = _sigmoid(gate)
            _write(dz, pull * (outs[k] + D * x) * s * (1.0 + gate * (1.0 - s)), clip, row, channel, live)
            pull *= gate * s
        dstep = x * sums_b[k] + sums_a[k]
        if SOFTPLUS:
            dstep *= _sigmoid(drive)
            drive = _softplus(drive)
        _write(ddelta, dstep, clip, row, channel, live)
        _write(du, drive * sums_b[k] + D * pull, clip, row, channel, live)
        sum_D += pull * x
        sum_bias += tl.where(live, dstep, 0.0)
    return sum_D, sum_bias


@triton.jit
def _there_and_back(
    steps, gains, pulls, sums_b, sums_a, outs, a, h, g, sum_A, B, C, dB, dC, plan, clip, group, slot, tile, n,
    REVERSE: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """One state through one tile, onwards from h and back from g: what it adds to the sums, and g before the tile."""
    first = _row(plan, tile, 0, REVERSE, TILE)
    b_at, c_at = _shared(B, clip, group, n, first), _shared(C, clip, group, n, first)
    bs, cs, decays, kepts = (), (), (), ()  # B_t, C_t, a_t and a_t h_{t-1}
    for k in tl.static_range(TILE):
        exists = tile * TILE + k < plan.length
        b = tl.load(b_at, mask=exists, other=0.0).to(tl.float32)
        c = tl.load(c_at, mask=exists, other=0.0).to(tl.float32)
        decay = tl.exp2(steps[k] * (a * LOG2E))
        bs, cs, decays, kepts = bs + (b,), cs + (c,), decays + (decay,), kepts + (decay * h,)
        h = decay * h + gains[k] * b
        b_at += -B.token if REVERSE else B.token
        c_at += -C.token if REVERSE else C.token
    new_b, new_a, new_outs = (), (), ()
    for k in tl.static_range(TILE - 1, -1, -1):
        row, exists = _row(plan, tile, k, REVERSE, TILE), tile * TILE + k < plan.length
        h = kepts[k] + gains[k] * bs[k]
        g += pulls[k] * cs[k]
        tl.store(dC + slot + row, tl.sum(pulls[k] * h, 0), mask=exists)
        tl.store(dB + slot + row, tl.sum(gains[k] * g, 0), mask=exists)
        flow = g * kepts[k]
        sum_A += steps[k] * flow
        new_b = (sums_b[k] + g * bs[k],) + new_b
        new_a = (sums_a[k] + a * flow,) + new_a
        new_outs = (outs[k] + cs[k] * h,) + new_outs
        g *= decays[k]
    return new_b, new_a, new_outs, g, sum_A


@triton.jit
def backward(
    u, delta, A, B, C, D, z, bias, dy, saved, into, du, ddelta, dz, dA, dB, dC, dD, dbias, plan,
    SOFTPLUS: tl.constexpr, REVERSE: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """All gradients, tile by tile from the last: a tile's states are computed again from the one saved before it.

    `into`, the gradient of each segment's last state on entry, becomes that of its first. dA, dD and dbias get a slot
    for each clip and segment, dB and dC one for each block of channels, (b, blocks, n, l), to be summed afterwards.
    """
    clip, part, start, stop, group, block, channel, mine = _place(plan, TILE, BLOCK)
    tiles, size = tl.cdiv(plan.length, TILE), plan.states * plan.channels
    own = part * size + channel
    skip, shift = _vector(D, channel, mine), _vector(bias, channel, mine)
    none = tl.zeros_like(skip)
    sum_D, sum_bias = none, none
    for back in range(stop - start):
        tile = stop - 1 - back
        steps, gains, pulls, sums_b, sums_a, outs = (), (), (), (), (), ()
        for k in tl.static_range(TILE):
            row, live = _row(plan, tile, k, REVERSE, TILE), mine & (tile * TILE + k < plan.length)
            step = _step(delta, shift, clip, row, channel, live, SOFTPLUS)
            steps, gains = steps + (step,), gains + (step * _read(u, clip, row, channel, live),)
            pulls = pulls + (_gated(_read(dy, clip, row, channel, live), z, clip, row, channel, live),)
            sums_b, sums_a, outs = sums_b + (none,), sums_a + (none,), outs + (none,)
        for n in range(plan.states):
            at = own + n * plan.channels
            a = _rate(A, channel, n, mine)
            h = tl.load(saved + (clip * tiles + tile) * size + n * plan.channels + channel, mask=mine, other=0.0)
            sums_b, sums_a, outs, g, sum_A = _there_and_back(
                steps, gains, pulls, sums_b, sums_a, outs, a, h,
                tl.load(into + at, mask=mine, other=0.0), tl.load(dA + at, mask=mine, other=0.0),
                B, C, dB, dC, plan, clip, group, (block * plan.states + n) * plan.length, tile, n, REVERSE, TILE,
            )  # fmt: skip
            tl.store(into + at, g, mask=mine)
            tl.store(dA + at, sum_A, mask=mine)
        tile_D, tile_bias = _write_tile(
            sums_b, sums_a, outs, u, delta, skip, z, shift, dy, du, ddelta, dz, plan, clip, tile, channel, mine,
            SOFTPLUS, REVERSE, TILE,
        )  # fmt: skip
        sum_D += tile_D
        sum_bias += tile_bias
        tl.debug_barrier()  # before one lane reads what another wrote to `into` and dA
    tl.store(dD + part * plan.channels + channel, sum_D, mask=mine)
    tl.store(dbias + part * plan.channels + channel, sum_bias, mask=mine)
