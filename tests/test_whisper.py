"""Whisper's encoder against torch's own transformer layers, and its spectrogram against a tone."""

import numpy as np
import torch
from fill_rule import relative

from actalker.config import Whisper
from actalker.model.whisper import WhisperEncoder
from actalker.signals.hidden_states import whisper_mel

TOY = Whisper(mels=80, width=32, heads=4, layers=3, positions=1500)


def as_torch(layer):
    """The same layer of torch, filled with ours."""
    d, a = TOY.width, layer.attention
    own = torch.nn.TransformerEncoderLayer(d, TOY.heads, 4 * d, 0.0, "gelu", batch_first=True, norm_first=True)
    weights = torch.cat([a.to_q.weight, a.to_k.weight, a.to_v.weight])
    biases = torch.cat([a.to_q.bias, torch.zeros(d), a.to_v.bias])
    parts = {"self_attn.out_proj": a.leave, "linear1": layer.fc1, "linear2": layer.fc2}
    parts |= {"norm1": layer.attend, "norm2": layer.expand}
    state = {"self_attn.in_proj_weight": weights, "self_attn.in_proj_bias": biases}
    for name, part in parts.items():
        state |= {f"{name}.weight": part.weight, f"{name}.bias": part.bias}
    own.load_state_dict(state)
    return own.eval()


def test_hidden_states_are_those_of_torch_s_layers():
    torch.manual_seed(0)
    encoder = WhisperEncoder(TOY).eval().requires_grad_(False)
    torch.nn.init.normal_(encoder.positions)
    states = encoder(torch.randn(2, 80, 60))
    assert states.shape == (2, 30, 4, 32)
    h = states[:, :, 0]
    for i, layer in enumerate(encoder.layers, 1):
        h = as_torch(layer)(h)
        wanted = encoder.norm(h) if i == 3 else h
        assert relative(states[:, :, i], wanted) < 1e-5


def test_the_spectrogram_hears_a_tone_where_it_is():
    samples = np.sin(2 * np.pi * 1000 * np.arange(31 * 16000) / 16000).astype(np.float32)
    mel = whisper_mel(samples)
    assert mel.shape == (2, 80, 3000)
    assert mel.dtype == np.float32
    assert set(mel[0, :, 100:2900].argmax(0)) == {
        26
    }  # of 80 centres up to 8 kHz, linear below 1 kHz and logarithmic above
    quiet = mel[1, :, 200:]
    assert quiet.max() == quiet.min() < mel[1].max()
