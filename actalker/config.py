"""Names and settings that every layer shares: regions, coefficients, sources, presets, and the frozen configs."""

from collections.abc import Collection
from dataclasses import dataclass, field

VERSION = "0.1.0"

# A coefficient belongs to exactly one region. Names are ARKit's where one matches; a plain name is signed or symmetric.
REGIONS: dict[str, tuple[str, ...]] = {
    "mouth": (
        "jawOpen",
        "jawLeft",
        "mouthClose",
        "mouthFunnel",
        "mouthPucker",
        "mouthLeft",
        "mouthSmileLeft",
        "mouthSmileRight",
        "mouthFrownLeft",
        "mouthFrownRight",
        "mouthStretch",
        "mouthRollUpper",
        "mouthRollLower",
        "mouthShrugLower",
        "mouthUpperUp",
        "mouthLowerDown",
        "cheekPuff",
        "noseSneer",
        "tongueUp",
    ),
    "eyes": ("eyeBlinkLeft", "eyeBlinkRight", "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight"),
    "gaze": ("gazeX", "gazeY"),
    "brows": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight", "browDownLeft", "browDownRight"),
    "head": ("headYaw", "headPitch", "headRoll", "headX", "headY", "headZ"),  # degrees, then interocular units
}
COEFFICIENTS: tuple[str, ...] = tuple(name for names in REGIONS.values() for name in names)
INDEX: dict[str, int] = {name: i for i, name in enumerate(COEFFICIENTS)}
SIGNED: frozenset[str] = frozenset({"jawLeft", "mouthLeft", "gazeX", "gazeY", *REGIONS["head"]})

# How far the head may be moved to each side: degrees, then interocular units.
HEAD_BOUNDS = {"headYaw": 45.0, "headPitch": 45.0, "headRoll": 45.0, "headX": 1.0, "headY": 1.0, "headZ": 1.0}


def bounds(name: str) -> tuple[float, float]:
    """The lowest and highest value of a coefficient that a person may ask for: 0 to 1, or the same to each side."""
    most = HEAD_BOUNDS.get(name, 1.0)
    return (-most if name in SIGNED else 0.0), most


SIGNALS = ("audio", "video")
SOURCES = (*SIGNALS, "still")

PRESETS: dict[str, dict[str, str]] = {
    "voice": dict.fromkeys(REGIONS, "audio"),
    "video": dict.fromkeys(REGIONS, "video"),
    "joint": {**dict.fromkeys(REGIONS, "video"), "mouth": "audio"},
    "voice-still": {**dict.fromkeys(REGIONS, "still"), "mouth": "audio"},
    "video-head": {**dict.fromkeys(REGIONS, "audio"), "head": "video"},
}


def natural_preset(given: Collection[str]) -> str:
    """The preset that suits the signals that were given."""
    return "joint" if set(SIGNALS) <= set(given) else "voice" if "audio" in given else "video"


MEL_PER_FRAME = 4  # rows of the speech's spectrogram (100 a second) for each motion frame (25 a second)


@dataclass(frozen=True)
class Control:
    """The parallel-control layer (paper, section 3.2)."""

    width: int = 96
    state: int = 8
    step_rank: int = 6
    condition: int = 128  # width of a signal's and of the identity's tokens
    branches: tuple[str, ...] = SIGNALS
    directions: int = 2
    mixer: str = "scan"  # or "attention": what a branch does with its tokens
    gates: bool = True  # False: the branch of an absent signal runs, too, on a null token
    mask_drop: bool = True  # False: every branch sees and moves every region
    identity: bool = True  # False: the face's shape stays outside


@dataclass(frozen=True)
class MotionNet:
    """The embedded tier's denoiser over frames × regions, with its speech and motion encoders."""

    control: Control = field(default_factory=Control)
    blocks: int = 3
    heads: int = 4
    mels: int = 80
    phones: int = 33  # evidence for classes of phones, smoothed and of the moment, and whether there is any
    speech_blocks: int = 5
    shape: int = 8  # numbers that describe the photo's neutral face
    fps: int = 25
    window: int = 100  # frames denoised together; longer clips are covered by overlapping windows
    overlap: int = 24


@dataclass(frozen=True)
class Sampling:
    """Noise levels in units of a whitened coefficient's standard deviation (EDM, arXiv 2206.00364, equation 5)."""

    steps: int = 4
    sigma_max: float = 10.0
    sigma_min: float = 0.1
    rho: float = 7.0
    settled: tuple[str, ...] = ("mouth",)  # regions that signals leave no choice: their first estimate stands
    guidance: float = 1.0  # 1: the conditional prediction alone, without a second pass


@dataclass(frozen=True)
class Training:
    """`actalker train`: what it draws and how it steps."""

    steps: int = 4400
    batch: int = 16
    frames: int = 75
    rate: float = 1.5e-3
    warmup: int = 150
    flat: float = 0.35  # share of the steps before the cosine
    decay: float = 0.02
    average: float = 0.998
    clip: float = 1.0
    drop: float = 0.1  # share of draws whose signal becomes the null token
    sigma_mean: float = 0.3  # of ln sigma
    sigma_std: float = 1.3
    blank: float = 0.3  # share of draws that start, as sampling does, at Sampling.sigma_max with settled regions at 0
    velocity: float = 0.5
    auxiliary: float = 0.5
    closure: float = 0.3  # weight of openings where lips should meet, and of meetings where they should not
    sealed: float = 2.0  # weight of frames with closed lips, in the mouth
    resting: float = 3.0  # weight of frames in which the mouth rests
    without_mel: float = 0.3  # share of rows that hear phone evidence alone
    without_phones: float = 0.15  # share of rows that hear the spectrogram alone
    seed: int = 0
    save_every: int = 200
