"""The paper's measures, by toy networks in place of the real ones: their formulas and their inputs are checked."""

import math

import numpy as np
import pytest
import torch

from actalker.errors import InputError
from actalker.evaluate import paper, syncnet

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


class ToyInception(torch.nn.Module):
    """Mean of each channel."""

    def forward(self, images: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert return_features
        assert images.dtype == torch.uint8
        return images.float().mean(dim=(2, 3))


class ToyI3d(torch.nn.Module):
    """First and last frame's mean."""

    def forward(
        self, clips: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
    ) -> torch.Tensor:
        assert rescale
        assert resize
        assert return_features
        return torch.stack([clips[:, :, 0].mean(dim=(1, 2, 3)), clips[:, :, -1].mean(dim=(1, 2, 3))], dim=1)


class ToyLpips(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).abs().mean(dim=(1, 2, 3), keepdim=True)


class ToySyncNet(torch.nn.Module):
    """Hears the energy of a window's first row, and sees the blue of its first frame on the same scale."""

    def forward_aud(self, sound: torch.Tensor) -> torch.Tensor:
        return sound[:, 0, :1, 0]

    def forward_lip(self, frames: torch.Tensor) -> torch.Tensor:
        return frames[:, 0, 0].mean(dim=(1, 2))[:, None] / 8

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        return self.forward_aud(sound)


@pytest.fixture
def scripted(tmp_path):
    """Save a network as TorchScript and load it as a user's file."""

    def load(network: torch.nn.Module) -> torch.jit.ScriptModule:
        if isinstance(network, ToySyncNet):
            inputs = {"forward_aud": torch.zeros(1, 1, 13, 20), "forward_lip": torch.zeros(1, 3, 5, 224, 224)}
            torch.jit.trace_module(network, inputs).save(str(tmp_path / "net.pt"))
        else:
            torch.jit.script(network).save(str(tmp_path / "net.pt"))
        return paper.load_network(tmp_path / "net.pt", "a toy")

    return load


def grey(levels: np.ndarray, side: int = 32) -> list[np.ndarray]:
    return [np.full((side, side, 3), level, np.uint8) for level in levels]


def test_frechet_distance_of_equal_sets_is_0():
    features = np.random.default_rng(0).normal(size=(300, 5))
    assert paper.frechet_distance(features, features) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_known_gaussians():
    """Of N(0, diag a) and N(m, diag b) it is |m|^2 + sum (sqrt a - sqrt b)^2, in every rotation."""
    rng = np.random.default_rng(1)
    base = rng.normal(size=(500, 3))
    base = (base - base.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(base, rowvar=False)).T)  # exactly white
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    a, b, shift = np.array([1.0, 4.0, 9.0]), np.array([4.0, 4.0, 1.0]), np.array([1.0, -2.0, 0.5])
    one, other = base * np.sqrt(a) @ turn, (base * np.sqrt(b) + shift) @ turn
    assert paper.frechet_distance(one, other) == pytest.approx(5.25 + 1 + 0 + 4)


def test_frechet_distance_of_matrices_that_do_not_commute():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(2)
    one, other = (
        rng.normal(size=(400, 4)) @ rng.normal(size=(4, 4)),
        rng.normal(size=(400, 4)) @ rng.normal(size=(4, 4)),
    )
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    expected = np.square(one.mean(0) - other.mean(0)).sum() + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert paper.frechet_distance(one, other) == pytest.approx(expected)
    assert math.isnan(paper.frechet_distance(one[:1], other))


def test_fid_takes_every_frame_as_bytes(scripted):
    features = paper.inception_features(scripted(ToyInception()), grey(np.arange(40)))
    assert features.shape == (40, 3)
    assert features[:, 1] == pytest.approx(np.arange(40))


def test_fvd_takes_every_16_frames(scripted):
    features = paper.i3d_features(scripted(ToyI3d()), grey(np.arange(40)))
    assert features == pytest.approx(np.array([[0, 15], [16, 31]]))


def test_lpips_takes_pairs_between_minus_1_and_1(scripted):
    black, white = grey(np.zeros(20)), grey(np.full(18, 255))
    assert paper.lpips(scripted(ToyLpips()), black, white) == pytest.approx(2)
    assert paper.lpips(scripted(ToyLpips()), black, black) == 0


def test_files_that_are_no_networks_are_refused(tmp_path):
    (tmp_path / "text.pt").write_text("no network")
    with pytest.raises(InputError, match=r"nothing.pt does not exist; give the TorchScript file of FID"):
        paper.load_network(tmp_path / "nothing.pt", "FID")
    with pytest.raises(InputError, match="text.pt is not a TorchScript file"):
        paper.load_network(tmp_path / "text.pt", "FID")


def crop(blues: np.ndarray) -> list[np.ndarray]:
    frames = np.zeros((len(blues), 224, 224, 3), np.uint8)
    frames[..., 2] = blues[:, None, None]
    return list(frames)


def blinking(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise at 16 kHz whose loudness changes from frame to frame, and what the toy hears at each."""
    loud = np.random.default_rng(3).uniform(-2.5, -0.5, size=frames)
    samples = (np.repeat(10**loud, 640) * np.random.default_rng(4).normal(size=640 * frames)).clip(-1, 1)
    return samples, syncnet.mfcc(np.round(samples * 32767))[::4, 0]


def test_sync_scores_find_the_shift_and_the_distance(scripted):
    """The blue of each frame is eight times what is heard: the distance is 0 but for rounding."""
    samples, heard = blinking(60)
    blues = np.round(8 * heard)
    network = scripted(ToySyncNet())
    sync = syncnet.sync_scores(network, crop(blues), samples)
    assert sync.offset_frames == 0
    assert sync.distance == pytest.approx(0, abs=0.07)
    assert sync.confidence > 0.5
    late = syncnet.sync_scores(network, crop(np.r_[blues[:1].repeat(3), blues[:-3]]), samples)
    assert late.offset_frames == 3
    assert late.confidence > 0.5
    other, _ = blinking(75)
    assert syncnet.sync_scores(network, crop(blues), other[-60 * 640 :]).confidence < 0.5 * sync.confidence


def test_syncnet_takes_its_own_crops_alone(scripted):
    samples, _ = blinking(20)
    with pytest.raises(InputError, match="has 96 x 64 pixels; give one of 224 x 224"):
        syncnet.sync_scores(scripted(ToySyncNet()), [np.zeros((64, 96, 3), np.uint8)] * 8, samples)
    with pytest.raises(InputError, match="the crop is too short"):
        syncnet.sync_scores(scripted(ToySyncNet()), crop(np.zeros(4)), samples)


def test_cepstra_are_those_of_the_definition():
    """Of one window of a constant power spectrum, written out; the first is the energy's logarithm."""
    impulse = np.zeros(400)
    impulse[0] = 1000.0
    found = syncnet.mfcc(impulse)
    assert found.shape == (1, 13)
    spectrum = np.abs(np.fft.rfft(np.r_[1000.0, -970.0], 512)) ** 2 / 512
    assert found[0, 0] == pytest.approx(np.log(spectrum.sum()))
    assert syncnet.mfcc(np.zeros(16000)).shape == (99, 13)
    assert syncnet._triangles().shape == (26, 257)
    assert syncnet._triangles().max() == 1
