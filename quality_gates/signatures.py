"""Signatures: ed25519 keys and signatures as base64 text, and whether a text was signed by the owner of a key."""

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from quality_gates.errors import SignOffError

KEY_BYTES = 32


def public_key(text: str) -> Ed25519PublicKey:
    """Read a public key of 32 bytes in base64. Raises SignOffError for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != KEY_BYTES:
        raise SignOffError(
            f"expected an ed25519 public key of {KEY_BYTES} bytes in base64, got {text[:80]!r}; write the line that "
            "edgewright sign-off-key prints"
        )
    return Ed25519PublicKey.from_public_bytes(data)


def written_key(key: Ed25519PublicKey) -> str:
    """Return a public key as the text that a recipe lists."""
    return base64.b64encode(key.public_bytes_raw()).decode()


def sign(statement: bytes, key: Ed25519PrivateKey) -> str:
    """Return the signature of a text in base64."""
    return base64.b64encode(key.sign(statement)).decode()


def is_signed(statement: bytes, signature: str | None, key: str) -> bool:
    """Tell whether a text was signed by the owner of a public key; a signature in another form is none."""
    try:
        public_key(key).verify(base64.b64decode(signature or "", validate=True), statement)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
