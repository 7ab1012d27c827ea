"""Names and settings that every layer shares: regions, coefficients, sources, presets, and the frozen configs."""

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace

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


@dataclass(frozen=True)
class MediaLimits:
    """What a file that somebody gives may be, and what reading it may take."""

    photo_side: int = 64  # px, at least
    photo_pixels: int = 25_000_000  # a larger photo is reduced to this
    refused_pixels: int = 100_000_000  # a still larger one is not decoded
    clip_pixels: int = 4096 * 2304
    clip_seconds: float = 60.0  # of a driving clip
    sound_least: float = 0.1  # seconds
    sound_seconds: float = 600.0  # of speech, and of what this program made of it
    cpu_seconds: int = 20  # for a file, and for each further minute where more than one is read
    wall_seconds: int = 60  # as often as `cpu_seconds`: a busy machine needs more than the work takes
    memory_bytes: int = 3 << 30  # address space of the process that decodes


LIMITS = MediaLimits()

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
    expand: int = 1  # the scan's width, in widths
    bias: bool = True
    projections: str = "shared"  # or "branch": an input projection for each signal
    order: tuple[str, ...] = ("identity", "joined")  # what is scanned; "joined": "tokens" and "signal" frame by frame
    layout: str = "spatio_temporal"  # or "per_frame": a scan for each frame
    elsewhere: str = "nothing"  # or "entered": what a branch gives where its signal is not heard
    residual: bool = True

    @property
    def inner(self) -> int:
        return self.expand * self.width


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


# The layer in a video model as the paper describes it (section 3.2), and as it was released (commit 109de52).
PAPER = Control(
    state=16, condition=1024, expand=2, bias=False, order=("identity", "tokens", "signal"), elsewhere="entered"
)
RELEASE = replace(
    PAPER, projections="branch", order=("tokens", "identity", "signal"), layout="per_frame", residual=False
)


@dataclass(frozen=True)
class Unet:
    """SVD-XT's spatio-temporal UNet with control layers and adapters. Lengths by level, the finest first."""

    control: Control | None = RELEASE  # its width, rank and condition follow the level; None: SVD alone
    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    heads: tuple[int, ...] = (5, 10, 20, 20)
    layers: int = 2  # residual blocks a level, one more on the way up; the coarsest level has no attention
    context: int = 1024  # width of identity's and signals' tokens
    latents: int = 4
    clip_numbers: int = 256  # width of the embedding of each of frame rate and two motion numbers
    adapter_scale: float = 1.25
    mask_rule: str = "release"  # or "threshold": where a region's tokens are (see model.masks)
    masked_over_time: bool = False  # True: signals stay in their regions in temporal attention, too
    mid_control: bool = False

    def control_at(self, level: int) -> Control:
        """The control layer's config at a level."""
        width = self.channels[level]
        return replace(self.control, width=width, step_rank=-(-width // 16), condition=self.context)


@dataclass(frozen=True)
class Encoders:
    """What makes the UNet's conditions, trained with it: speech, identity, motion, and the face's place.

    What they read are the released weights' perception networks, or this program's own measurements, which need none.
    """

    senses: str = "released"  # or "own"
    speech_rows: int = 10  # of Whisper's 50 a second, for a frame
    speech_layers: int = 5
    speech_width: int = 384
    speech_hidden: int = 1024
    speech_tokens: int = 32
    identity: int = 512
    identity_hidden: int = 1024
    motion: int = 512
    place: tuple[int, ...] = (16, 32, 96, 256)  # channels of the guider that reads where the face is
    pose_numbers: int = 6  # of a motion token: rotation in degrees and translation


# What is heard at 100 Hz around a frame, the face's shape, and the coefficients of all regions but the head.
OWN = Encoders(senses="own", speech_rows=20, speech_layers=1, speech_width=113, identity=8, motion=32)


@dataclass(frozen=True)
class Whisper:
    """Whisper's encoder; the defaults are whisper-tiny's."""

    mels: int = 80
    width: int = 384
    heads: int = 6
    layers: int = 4
    positions: int = 1500


@dataclass(frozen=True)
class Full:
    """The full tier: UNet, encoders, and what they were trained for."""

    unet: Unet = field(default_factory=Unet)
    encoders: Encoders = field(default_factory=Encoders)
    fps: float = 12.5
    motion_numbers: tuple[float, float] = (12.0, 20.0)
    window: int = 25  # frames denoised together


@dataclass(frozen=True)
class VideoSampling:
    """Noise levels, guidance and windows of the full tier. The defaults are the release's."""

    steps: int = 25
    sigma_max: float = 700.0
    sigma_min: float = 0.002
    rho: float = 7.0
    levels: tuple[float, ...] | None = None  # instead of the rule: falling, without the final 0
    scales: tuple[float, float, float] = (2.0, 7.5, 3.0)  # of appearance, speech and motion
    last_scales: tuple[float, float, float] | None = None  # at the last step, if they change on the way
    guidance_interval: tuple[float, float] = (0.0, math.inf)  # noise levels at which there is guidance; else one pass
    cache_interval: int = 1  # steps from one computation of the UNet's deep part to the next (arXiv 2312.00858)
    overlap: int = 0  # frames that neighbouring windows share
    shift: int = 7  # frames that windows move from step to step, around the clip
    padding: bool = True  # a window of silent frames behind the clip, which is denoised with it and dropped
    strength: float = 1.0  # below 1: the photo's latent is noised less, and only that share of the steps is made
    decode: int = 10  # frames that the VAE decodes together


SCHEDULES: dict[str, tuple[float, ...] | None] = {
    "release": None,  # the rule, with as many steps as are asked for
    "short": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034),  # SVD's of arXiv 2404.14507
}

# All that saves work and changes the result: ten steps chosen for SVD, guidance where it matters (arXiv 2404.07724),
# most of the network every third step, and a window less.
FAST = VideoSampling(
    steps=10, levels=SCHEDULES["short"], guidance_interval=(1.5, 10.0), cache_interval=3, overlap=6, padding=False
)


@dataclass(frozen=True)
class FilmTraining:
    """`actalker train --tier full`: what it draws and how it steps. The rate is the paper's (section 3.4)."""

    steps: int = 100_000
    batch: int = 8  # clips a step, one after the other
    frames: int = 25
    rate: float = 1e-5
    average: float = 0.9999
    clip: float = 1.0
    drop: float = 0.1  # share of draws in which each of photo, speech and motion is not told
    sigma_mean: float = 0.7  # of ln sigma, as Stable Video Diffusion was tuned
    sigma_std: float = 1.6
    all_parameters: bool = False  # False: control, adapters and encoders; SVD itself stays
    checkpointing: bool = False  # values inside blocks are made again for the gradient: less memory, more time
    precision: str = "no"  # or "bf16", "fp16": accelerate's mixed precision
    seed: int = 0
    save_every: int = 500
