"""With which certificate videos are signed: the host's, or one that this program makes for itself at first use."""

import datetime
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from actalker.errors import InputError
from actalker.saving import replacing

VARIABLE = "ACTALKER_CERTIFICATE"  # names a PEM file: the signer's certificate, those above it, and its private key
NAME = "ACTalker Studio, self-made certificate"

_YEARS = 10
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Identity:
    """A signer: certificates from its own upwards and its private key, both PEM, and C2PA's name of the algorithm."""

    chain: bytes
    key: bytes
    algorithm: str


def identity() -> Identity:
    """Who signs. InputError where the file that ACTALKER_CERTIFICATE names will not do."""
    given = os.environ.get(VARIABLE)
    return _of_host(Path(given)) if given else _own()


@lru_cache(1)
def _of_host(path: Path) -> Identity:
    try:
        return _read(path.read_bytes())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as fault:
        raise InputError(
            f"{path} of {VARIABLE} is no certificate to sign with ({fault}); "
            "give a PEM file with the certificate, those above it, and the private key."
        ) from fault


@lru_cache(1)
def _own() -> Identity:
    """The self-made one: kept for this user, or for this process alone where nothing can be kept."""
    path = _place()
    if path is not None:
        try:
            return _read(path.read_bytes())
        except (OSError, ValueError):  # none yet, or one that is over
            pass
    made = _made()
    if path is not None:
        _keep(path, made)
    return _read(made)


def _place() -> Path | None:
    try:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    except RuntimeError:  # there is no home
        return None
    return base / "actalker" / "certificate.pem"


def _keep(path: Path, content: bytes) -> None:
    """Readable by its owner alone. A disk that takes nothing is no reason not to sign."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    except (OSError, InputError):
        return


def _read(content: bytes) -> Identity:
    """A PEM file's identity. ValueError: it lacks something, or is out of date."""
    chain = x509.load_pem_x509_certificates(content)
    key = serialization.load_pem_private_key(content, None)
    if chain[0].public_key() != key.public_key():
        raise ValueError("its first certificate and its private key do not belong together")
    if not chain[0].not_valid_before_utc <= datetime.datetime.now(datetime.UTC) <= chain[0].not_valid_after_utc:
        raise ValueError("its certificate is out of date")
    return Identity(b"".join(map(_pem, chain)), _private(key), _algorithm(key))


def _algorithm(key: PrivateKeyTypes) -> str:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    raise ValueError("its key is none of Ed25519, P-256, P-384, P-521 and RSA")


def _made() -> bytes:
    """A root that nobody else knows, and the signer below it; the root's key is thrown away."""
    root, signer = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))
    chain = _certificate("Signer", signer, root), _certificate("Root", root, root)
    return b"".join([*map(_pem, chain), _private(signer)])


def _certificate(role: str, key: ed25519.Ed25519PrivateKey, root: ed25519.Ed25519PrivateKey) -> x509.Certificate:
    """A certificate as C2PA asks for: the signer's may sign documents, the root's certificates alone."""
    top, today = key is root, datetime.datetime.now(datetime.UTC)
    uses = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only"), False,
    )  # fmt: skip
    usage = x509.KeyUsage(digital_signature=not top, key_cert_sign=top, crl_sign=top, **uses)
    builder = (
        x509.CertificateBuilder(_named(role), _named("Root"), key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(top, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
    )
    if not top:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=True)
    return builder.sign(root, None)


def _named(role: str) -> x509.Name:
    names = ((NameOID.ORGANIZATION_NAME, NAME), (NameOID.COMMON_NAME, role))
    return x509.Name([x509.NameAttribute(kind, name) for kind, name in names])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
