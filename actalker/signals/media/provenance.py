"""What a video says about itself: a signed C2PA manifest, a comment in its container, and a visible label.

The manifest shows that the file is as it was when it was signed, and by which certificate. That of a certificate which
this program made for itself is as trustworthy as whoever hands on the file, for anybody can make one.
"""

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from actalker.config import VERSION
from actalker.errors import InputError
from actalker.saving import part_of
from actalker.signals.media import files
from actalker.signals.media.door import probe_video, read_video
from actalker.signals.media.label import label_of

PROGRAM = "ACTalker Studio"
COMMENT = f"AI-generated: a photo that was made to move by {PROGRAM} {VERSION}"

_KIND = "video/mp4"
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_UNTRUSTED = "signingCredential.untrusted"


@dataclass(frozen=True)
class Marks:
    """How a video is marked: always by manifest and comment, and by the label on this side unless it is None."""

    label: str | None = "right"


@dataclass(frozen=True)
class Claims:
    """What a video claims. `manifest` is valid, changed (since it was signed) or none, and `known` whether its signer's
    certificate leads to an authority; `label` is the side of the label, `comment` the container's."""

    manifest: str
    signer: str | None
    known: bool
    program: str | None
    source: str | None  # IPTC's digital source type
    label: str | None
    comment: str | None


def sign(path: Path) -> None:
    """Give an mp4 its manifest; whatever is changed in it later is told by its readers.

    InputError where the host's certificate cannot sign.
    """
    import c2pa

    signed = part_of(path)
    try:
        with path.open("rb") as plain, signed.open("w+b") as marked:
            c2pa.Builder(json.dumps(_manifest())).sign(_signer(), _KIND, plain, marked)
        os.replace(signed, path)
    except c2pa.C2paError as fault:
        raise InputError(f"The video could not be signed ({fault}); check the certificate.") from fault
    finally:
        signed.unlink(missing_ok=True)


def claims_of(path: str | Path) -> Claims:
    """What a video claims. InputError if there is no such file, or it is no video."""
    path = files.existing(path, "video")
    state, manifest = _manifest_of(path)
    try:
        comment, label = probe_video(path).comment, label_of(next(read_video(path)))
    except (InputError, StopIteration):
        if state == "none":
            raise
        comment = label = None  # so changed that it can no longer be played
    signature, source = manifest.get("signature_info", {}), _sources(manifest)
    return Claims(
        manifest=state,
        signer=signature.get("issuer"),
        known=state == "valid" and manifest["known"],
        program=next((f"{one['name']} {one.get('version', '')}" for one in _programs(manifest)), None),
        source=next(iter(source), None),
        label=label,
        comment=comment,
    )


def _manifest() -> dict:
    """Nothing in it tells the visitor, the photo or their names."""
    program = {"name": PROGRAM, "version": VERSION}
    action = {"action": "c2pa.created", "digitalSourceType": _SOURCE, "softwareAgent": program}
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [action]}}
    return {"claim_generator_info": [program], "format": _KIND, "assertions": [actions]}


def _signer() -> object:
    from actalker.signals.media.certificate import identity

    return _signer_of(identity())


@lru_cache(1)
def _signer_of(who: object) -> object:
    import c2pa

    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(who.algorithm.encode(), who.chain, who.key, None))


def _manifest_of(path: Path) -> tuple[str, dict]:
    """valid, changed or none, and the manifest that says so, as far as it can be read."""
    import c2pa

    try:
        with path.open("rb") as file, c2pa.Reader(_KIND, file) as reader:
            told = json.loads(reader.json())
            valid = reader.get_validation_state() in ("Valid", "Trusted")
    except c2pa.C2paError.ManifestNotFound:
        return "none", {}
    except c2pa.C2paError:
        return ("changed" if b"c2pa" in path.read_bytes() else "none"), {}
    manifest = told["manifests"][told["active_manifest"]]
    faults = {fault["code"] for fault in told.get("validation_status", ())}
    return "valid" if valid else "changed", manifest | {"known": _UNTRUSTED not in faults}


def _programs(manifest: dict) -> list[dict]:
    return manifest.get("claim_generator_info", [])


def _sources(manifest: dict) -> list[str]:
    actions = [one["data"].get("actions", []) for one in manifest.get("assertions", []) if "actions" in one["label"]]
    return [action["digitalSourceType"] for some in actions for action in some if "digitalSourceType" in action]
