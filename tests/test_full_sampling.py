"""The full tier's denoising loop against runs of the released one, and the schedule against diffusers'."""

import pytest
import torch
from fill_rule import SHAPES, case, fill, relative
from test_full_model import tiny

from actalker.config import Encoders, Full, VideoSampling
from actalker.model.diffusion import gathered, in_parts, sigmas
from actalker.model.full import VideoDenoiser
from actalker.model.masks import Masks
from actalker.model.projections import IdentityProjection, PlaceGuider
from actalker.model.video_diffusion import (
    Film,
    denoise_film,
    guidance_rows,
    guidance_weights,
    video_levels,
    windows_around,
)
from actalker.pipelines.vae import Vae

RUNS = [name for name in SHAPES["g"] if "N" in SHAPES["g"][name]]
SCALES = [f"guidance_scale{i}" for i in (1, 2, 3)]


class Toy(torch.nn.Module):
    """The tiny UNet behind the interface of the whole network, and what it was called with."""

    def __init__(self):
        super().__init__()
        self.unet = fill(VideoDenoiser(Full(unet=tiny("A"))).unet, "unet", SHAPES["e"]["unetA"]["shapes"])
        self.calls = []

    def forward(self, x, level, conditions):
        self.calls.append((x, conditions, VideoDenoiser.forward(self, x, level, conditions)))
        return self.calls[-1][2]


def sampling(facts):
    return VideoSampling(
        steps=facts["num_inference_steps"],
        scales=tuple(facts[f"min_{name}"] for name in SCALES),
        last_scales=tuple(facts[f"max_{name}"] for name in SCALES),
        overlap=facts["overlap"],
        shift=facts["shift_offset"],
        strength=facts["i2i_noise_strength"],
        decode=facts["decode_chunk_size"],
    )


def film(g, facts):
    common, f = case("pipeline", "common"), SHAPES["f"]
    guider = PlaceGuider(Encoders(place=tuple(f["pose_tiny"]["block_out_channels"])), 32)
    identity = IdentityProjection(Encoders(identity=24, identity_hidden=16), 32)
    for network, part in ((guider, "pose_guider"), (identity, "id_proj_model")):
        fill(network, part, {name: list(value.shape) for name, value in network.state_dict().items()})
    audio, video = facts["gate"]
    maps = (g["mouth"], g["exp"]) if audio and video else (g["face"][0],) * 2
    tokens = {"audio": g["audio"], "video": g["vasa"][:, None]}
    nothing = {"audio": g["uncond_audio"], "video": g["uncond_vasa"][None]}
    gates = {name for name, gate in zip(tokens, facts["gate"], strict=True) if gate}
    masks = Masks({name: maps[i][0] for i, name in enumerate(tokens) if name in gates})
    numbers = torch.tensor([facts["fps"], facts["motion_bucket_id"], facts["motion_bucket_id_exp"]])
    return Film(
        identity(common["id_feature"])[0, 0],
        {name: tokens[name] for name in gates},
        {name: nothing[name] for name in gates},
        masks,
        guider(g["face"]),
        numbers,
        common["vae_mode"][0],
        facts["N"],
    )


def vae():
    facts = SHAPES["g"]["vae"]
    network = Vae.build(facts["config"])
    fill(network.model, "vae", facts["shapes"])
    return network


@pytest.mark.parametrize("name", RUNS)
def test_denoising_agrees_with_the_release(name):
    facts, g, network = SHAPES["g"][name], case("pipeline", name), Toy()
    told, common = film(g, facts), case("pipeline", "common")
    config, done = sampling(facts), []
    latent = 0.18215 * common["vae_mean"][0]
    parts = list(denoise_film(network, told, g["noise"], latent, facts["frames_per_batch"], config, done.append))
    out = gathered(parts, g["noise"])
    assert len(done) == facts["steps_run"] - 1  # the last step tells of its windows
    windows = g["windows"].flatten(0, 1)
    assert len(network.calls) == len(windows)
    rows = len(guidance_rows(set(told.signals)))
    same = {1: [0, 1, 2, 2], 2: [0, 1, 1, 2], 3: [0, 1, 2, 3]}[facts["gate"][0] + 2 * facts["gate"][1]]
    over_the_end = int((windows[: len(windows) // facts["steps_run"]].diff(dim=1) < 0).any(dim=1).sum())
    _, conditions, first = network.calls[over_the_end]  # the others come after those
    assert len(first) == rows
    assert relative(-first[same], g["unet_out"]) < 5e-5
    pose = g["unet_pose"]
    assert relative(conditions.place.expand_as(pose), pose) < 2e-5
    if "frames" in g:
        frames = torch.cat(list(vae().decode(iter(parts), out.shape[1], facts["N"], config.decode)))
        released = (g["frames"][0].transpose(0, 1) / 2 + 0.5).clamp(0, 1)  # there (c, t, H, W) around 0
        assert relative(frames, released) < 5e-4
        assert relative(out, g["latents_per_step"][-1]) < 5e-4
    else:
        assert relative(out, g["latents"]) < 5e-4


@pytest.mark.parametrize(
    ("length", "size", "overlap", "first"), [(7, 4, 0, 0), (11, 4, 1, 3), (8, 4, 2, 2), (4, 4, 0, 1)]
)
def test_windows_finish_every_frame_once_and_early(length, size, overlap, first):
    """A denoiser that adds up what it was asked for: equal to averaging everything at the end."""
    windows = windows_around(length, size, overlap, first)
    asked = []

    def denoise(x, _sigma, conditions):
        asked.append(conditions)
        return x * (1 + len(asked))

    x = torch.randn(1, length, 2)
    parts = list(in_parts(denoise, _Everywhere(), windows)(x, torch.tensor(1.0)))
    total, counts = torch.zeros_like(x), torch.zeros(length, 1)
    for number, window in enumerate(windows):
        frames = window.places % length
        total.index_add_(1, frames, x[:, frames] * (2 + number))
        counts.index_add_(0, frames, torch.ones(size, 1))
    assert torch.allclose(gathered(parts, x), total / counts)
    assert sorted(torch.cat([frames for frames, _ in parts]).tolist()) == list(range(length))
    assert len(parts) == len(windows)
    over_the_end = sum(int(window.places[-1]) >= length - first for window in windows)
    early = torch.cat([frames for frames, _ in parts[: over_the_end + 1]]).tolist()
    assert set(range(size - first - overlap)) <= set(early)


class _Everywhere:
    def around(self, places):
        return places


def test_the_photo_is_encoded_as_in_the_release():
    common = case("pipeline", "common")
    assert relative(vae().encode(common["ref_image"]), common["vae_mode"]) < 2e-5


@pytest.mark.parametrize("steps", [2, 3, 4, 25])
def test_levels_are_the_release_s(steps):
    g = case("pipeline", f"scheduler_{steps}")
    levels = sigmas(VideoSampling(steps=steps))
    assert torch.allclose(levels, g["sigmas"], rtol=5e-6)
    assert torch.allclose(levels[:-1].log() / 4, g["timesteps"], atol=1e-5)


def test_a_part_of_the_strength_runs_a_part_of_the_steps():
    whole, half = (video_levels(VideoSampling(steps=4, strength=strength)) for strength in (1.0, 0.5))
    assert len(whole) == 5
    assert torch.equal(half, whole[2:])


@pytest.mark.parametrize(("gates", "rows"), [({"audio"}, 3), ({"video"}, 3), ({"audio", "video"}, 4)])
def test_rows_of_guidance_add_up(gates, rows):
    weights = guidance_weights(gates, (2.0, 7.5, 3.0))
    assert len(weights) == len(guidance_rows(gates)) == rows
    assert weights.sum() == pytest.approx(1)
