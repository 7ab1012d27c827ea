"""Frozen networks that read faces: identity (ArcFace IResNet-50), expression (ResNet-50) and head pose (ResNet-18)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _conv(enter: int, leave: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(enter, leave, size, stride, padding=size // 2, bias=False)


class IdentityBlock(nn.Module):
    """ArcFace's residual block (arXiv 1801.07698): normalise, convolve, PReLU, convolve, normalise."""

    def __init__(self, enter: int, leave: int, stride: int):
        super().__init__()
        self.bn1, self.conv1, self.bn2 = nn.BatchNorm2d(enter), _conv(enter, leave, 3), nn.BatchNorm2d(leave)
        self.prelu = nn.PReLU(leave)
        self.conv2, self.bn3 = _conv(leave, leave, 3, stride), nn.BatchNorm2d(leave)
        if stride > 1 or enter != leave:
            self.downsample = nn.Sequential(_conv(enter, leave, 1, stride), nn.BatchNorm2d(leave))

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return h + (self.downsample(x) if hasattr(self, "downsample") else x)


class FaceIdentity(nn.Module):
    """A face (b, 3, 112, 112) in [-1, 1] -> embedding (b, 512), not normalised."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.prelu = _conv(3, 64, 3), nn.BatchNorm2d(64), nn.PReLU(64)
        enter = 64
        for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (14, 256), (3, 512)), 1):
            parts = [IdentityBlock(enter if i == 0 else width, width, 2 if i == 0 else 1) for i in range(blocks)]
            self.add_module(f"layer{stage}", nn.Sequential(*parts))
            enter = width
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512 * 7 * 7, 512)
        self.features = nn.BatchNorm1d(512)

    def forward(self, x: Tensor) -> Tensor:
        h = self.prelu(self.bn1(self.conv1(x)))
        h = self.layer4(self.layer3(self.layer2(self.layer1(h))))
        return self.features(self.fc(self.bn2(h).flatten(1)))


class Bottleneck(nn.Module):
    """ResNet-50's block with normalisation over all channels."""

    def __init__(self, enter: int, width: int, stride: int):
        super().__init__()
        leave = 4 * width
        self.conv1, self.gn1 = _conv(enter, width, 1), nn.GroupNorm(1, width)
        self.conv2, self.gn2 = _conv(width, width, 3, stride), nn.GroupNorm(1, width)
        self.conv3, self.gn3 = _conv(width, leave, 1), nn.GroupNorm(1, leave)
        if stride > 1 or enter != leave:
            self.downsample = nn.Sequential(_conv(enter, leave, 1, stride), nn.GroupNorm(1, leave))

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.gn2(self.conv2(F.relu(self.gn1(self.conv1(x))))))
        return F.relu(self.gn3(self.conv3(h)) + (self.downsample(x) if hasattr(self, "downsample") else x))


class Expression(nn.Module):
    """A face (b, 3, 256, 256) in [0, 1] -> expression (b, 512)."""

    def __init__(self):
        super().__init__()
        self.conv1, self.gn1 = _conv(3, 64, 7, 2), nn.GroupNorm(1, 64)
        enter = 64
        for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
            stride = 1 if stage == 1 else 2
            parts = [Bottleneck(enter if i == 0 else 4 * width, width, stride if i == 0 else 1) for i in range(blocks)]
            self.add_module(f"layer{stage}", nn.Sequential(*parts))
            enter = 4 * width
        self.fc = nn.Linear(2048, 512)

    def forward(self, x: Tensor) -> Tensor:
        h = F.max_pool2d(F.relu(self.gn1(self.conv1(x))), 3, 2, 1)
        return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(h)))).mean((2, 3)))


class PoseBlock(nn.Module):
    """ResNet-18's block with normalisation over groups of channels."""

    def __init__(self, enter: int, leave: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = _conv(enter, leave, 3, stride), nn.GroupNorm(32, leave)
        self.conv2, self.bn2 = _conv(leave, leave, 3), nn.GroupNorm(32, leave)
        if stride > 1 or enter != leave:
            self.shortcut = nn.Sequential(_conv(enter, leave, 1, stride), nn.GroupNorm(32, leave))

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(h + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class HeadPose(nn.Module):
    """A head (b, 3, 256, 256) in [0, 1] -> rotation (b, 3) in degrees and translation (b, 3) in [-2, 2]."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = _conv(3, 64, 7, 2), nn.GroupNorm(32, 64)
        enter = 64
        for stage, width in enumerate((64, 128, 256, 512), 1):
            parts = [PoseBlock(enter, width, 1 if stage == 1 else 2), PoseBlock(width, width, 1)]
            self.add_module(f"layer{stage}", nn.Sequential(*parts))
            enter = width
        self.fc = nn.Linear(512, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = F.max_pool2d(F.relu(self.bn1(self.conv1(2 * x - 1))), 3, 2, 1)
        raw = torch.sigmoid(self.fc(self.layer4(self.layer3(self.layer2(self.layer1(h)))).mean((2, 3))))
        return raw[:, :3] * 360 - 180, raw[:, 3:] * 4 - 2
