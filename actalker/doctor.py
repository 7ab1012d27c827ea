"""What is installed, what is missing and how to get it: `report()` measures, `as_text()` says it."""

import importlib
import importlib.metadata
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from actalker.config import LIMITS
from actalker.errors import InputError

PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "numba",
    "av",
    "c2pa-python",
    "pillow",
    "opencv-contrib-python",
    "mediapipe",
    "librosa",
    "pocketsphinx",
    "safetensors",
    "gradio",
    "diffusers",
    "accelerate",
    "moviepy",
    "insightface",
)
NATIVE = ("torch", "numba", "av", "c2pa", "cv2", "mediapipe", "pocketsphinx")  # may be installed and yet fail to load
PHOTO = Path(__file__).parents[1] / "assets" / "faces" / "astronaut.jpg"

_LIBRARIES = {
    "libGL.so.1": "OpenCV needs libGL: either 'pip install --force-reinstall --no-deps "
    "opencv-contrib-python-headless==4.11.0.86', or as root 'apt-get install libgl1'",
    "libglib-2.0.so.0": "OpenCV needs GLib: as root 'apt-get install libglib2.0-0'",
    "libgthread-2.0.so.0": "OpenCV needs GLib: as root 'apt-get install libglib2.0-0'",
}
_MISSING = "not there; only the full tier needs it, see 'actalker convert --help' and checkpoints/README.md"
_MANIFEST = {
    "valid": "valid: the file is as it was when it was signed",
    "changed": "CHANGED: the file is not as it was when it was signed",
    "none": "none",
}
_REINSTALL = "install it with 'pip install -r requirements.txt'"


def report() -> dict:
    """Everything that can be told about this installation, as values for JSON. `ready` says whether it can be used."""
    modules = {name: _loading(name) for name in NATIVE}
    checkpoints, backends = _tried(_checkpoints), _tried(_backends)
    begin = time.perf_counter()
    checks = {name: _outcome(check) for name, check in _CHECKS.items()}
    return {
        "ready": all(said == "ok" for said in [*modules.values(), *checks.values()]),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "packages": {name: _version(name) for name in PACKAGES},
        "modules": modules,
        "scan_backends": backends,
        "checkpoints": checkpoints,
        "limits": _limits(),
        "self_test": checks,
        "self_test_seconds": round(time.perf_counter() - begin, 2),
    }


def as_text(facts: dict) -> str:
    """The report for reading: one block a subject, what is missing with how to get it."""
    packages = {name: version or f"missing; {_REINSTALL}" for name, version in facts["packages"].items()}
    blocks = {
        "packages": packages,
        "loading": facts["modules"],
        "scan backends": facts["scan_backends"],
        "checkpoints": facts["checkpoints"] or {"none": "train one with 'actalker train', or set ACTALKER_CHECKPOINTS"},
        "limits of what is given": facts["limits"],
        f"self-test, {facts['self_test_seconds']} s": facts["self_test"],
    }
    lines = [f"Python {facts['python']} on {facts['machine']}"]
    for title, rows in blocks.items():
        lines += ["", title, *(f"  {name:<34}{said}" for name, said in rows.items())]
    verdict = "Everything that is needed is here." if facts["ready"] else "Something is missing; see above."
    return "\n".join([*lines, "", verdict])


def provenance(video: Path) -> dict:
    """What a video claims to be, as values for JSON. InputError if there is none at this place."""
    from dataclasses import asdict

    from actalker.signals import media

    return {"video": str(video)} | asdict(media.claims_of(video))


def provenance_text(claims: dict) -> str:
    """The claims for reading, and what they are worth."""
    manifest = _MANIFEST[claims["manifest"]]
    rows = {"manifest": manifest}
    if claims["signer"]:
        known = "" if claims["known"] else ", vouched for by no authority known here"
        rows |= {"signed by": claims["signer"] + known, "made by": claims["program"] or "not said"}
        rows |= {"source": (claims["source"] or "not said").rpartition("/")[2]}
    rows |= {"label": "in the corner, bottom " + claims["label"] if claims["label"] else "none seen"}
    rows |= {"comment": claims["comment"] or "none"}
    return "\n".join([claims["video"], *(f"  {name:<12}{said}" for name, said in rows.items())])


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _loading(module: str) -> str:
    """ "ok", or why a module cannot be loaded and what to do."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as fault:
        return f"{fault.name} is not installed; {_REINSTALL}"
    except (ImportError, OSError) as fault:
        remedies = (remedy for library, remedy in _LIBRARIES.items() if library in str(fault))
        return f"{fault}; {next(remedies, _REINSTALL)}"
    return "ok"


def _backends() -> dict[str, str]:
    from actalker import scan

    return scan.backends()


def _checkpoints() -> dict[str, str]:
    from actalker import checkpoints

    folder = checkpoints.folder()
    found = {str(path.relative_to(folder)): _weights(path) for path in sorted(folder.glob("*/*.safetensors"))}
    full = (checkpoints.DENOISER, checkpoints.VAE, checkpoints.PERCEPTION)
    return found | {name: _MISSING for name in full if name not in found}


def _weights(path: Path) -> str:
    """A checkpoint's size and training, or what is wrong with it."""
    from actalker import checkpoints

    try:
        _, facts = checkpoints.read_metadata(path)
    except InputError as fault:
        return str(fault)
    steps = f", {facts['steps']} steps" if "steps" in facts else ""
    return f"{path.stat().st_size / 1e6:.1f} MB{steps}"


def _limits() -> dict[str, str]:
    """What a file may be, and what reading it may take."""
    return {
        "photo": f"from {LIMITS.photo_side} px a side; reduced to {LIMITS.photo_pixels / 1e6:.0f} megapixels, "
        f"refused above {LIMITS.refused_pixels / 1e6:.0f}",
        "driving clip": f"{LIMITS.clip_seconds:.0f} s, {LIMITS.clip_pixels / 1e6:.1f} megapixels",
        "speech": f"{LIMITS.sound_least} to {LIMITS.sound_seconds:.0f} s",
        "reading": f"{LIMITS.cpu_seconds} s of processor time for each minute, "
        f"{LIMITS.memory_bytes / (1 << 30):.0f} GiB of address space",
    }


def _tried(measure: Callable[[], dict[str, str]]) -> dict[str, str]:
    """A measurement, or the fault that prevents it: the doctor speaks even where little works."""
    try:
        return measure()
    except Exception as fault:
        return {"unknown": f"{type(fault).__name__}: {fault}"}


def _outcome(check: Callable[[], None]) -> str:
    """ "ok", or what went wrong."""
    try:
        check()
    except InputError as fault:
        return str(fault)
    except Exception as fault:
        return f"{type(fault).__name__}: {fault}"
    return "ok"


def _check_media() -> None:
    """A short film is written and read back."""
    import numpy as np

    from actalker.signals import media

    frames = [np.full((64, 64, 3), 20 * i, np.uint8) for i in range(10)]
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        media.write_video(film, frames, 25, (np.zeros(16000, np.float32), 16000))
        read = [frame.mean() for frame in media.read_video(film)]
        if len(read) != len(frames) or max(abs(a - b.mean()) for a, b in zip(read, frames, strict=True)) > 5:
            raise RuntimeError("a film that was written is not what is read")
        media.read_audio(film)


def _check_provenance() -> None:
    """A short film is marked, and its marks are found again."""
    import numpy as np

    from actalker.signals import media

    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        media.write_video(film, [np.full((128, 128, 3), 90, np.uint8)] * 3, 25, marks=media.Marks())
        claims = media.claims_of(film)
        if (claims.manifest, claims.label) != ("valid", "right"):
            raise RuntimeError("a film that was signed and labelled is not what is read")


def _check_speech() -> None:
    """Silence is told from a tone."""
    import numpy as np

    from actalker.signals import audio

    tone = np.sin(np.arange(16000) * 0.3).astype(np.float32)
    quiet, loud = (audio.normalise(audio.log_mel(samples)).max() for samples in (0 * tone, tone))
    if not quiet < -3 < 0 < loud:
        raise RuntimeError("silence is not told from sound")


def _check_face() -> None:
    """The face of the example photo is found."""
    from actalker.signals import face, media

    if len(face.find_faces(media.read_image(PHOTO))) != 1:
        raise RuntimeError("the example photo's face is not found")


def _check_scan() -> None:
    """The scan backend that would be used agrees with the definition."""
    import torch

    from actalker import scan

    u, delta, enter, leave = torch.rand(4, 1, 8, 16, generator=torch.Generator().manual_seed(0))
    arguments = (u, delta, -torch.ones(8, 8), enter, leave)
    apart = scan.selective_scan(*arguments) - scan.selective_scan(*arguments, backend="reference")
    if apart.abs().max() > 1e-4:
        raise RuntimeError("the fast scan differs from its definition")


def _check_model() -> None:
    """The shipped weights fill their network."""
    from actalker import checkpoints

    checkpoints.load_motion_net()


_CHECKS = {
    "media": _check_media,
    "provenance": _check_provenance,
    "speech": _check_speech,
    "face": _check_face,
    "scan": _check_scan,
    "model": _check_model,
}
