"""Credentials at rest: encrypted with AES-256-GCM, each bound to the row that it belongs to.

Invariant: no key and no plain text is in any error, log line or repr. What is sealed begins with the id of its
key, so that a new key can be put before the old one, which still opens what it sealed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import GatewayError, SettingsError
from gateway.store.durable import sync_folder

SETTING = "GATEWAY_SECRET_KEY"
FILE = "secret.key"
KEY_BYTES = 32
KEY_ID_BYTES = 4
NONCE_BYTES = 12
"""Of 96 random bits, NIST SP 800-38D allows 2³² for one key."""
VERSION = b"\x01"
HEADER_BYTES = len(VERSION) + KEY_ID_BYTES
KEY_FILE_BYTES = 4_096
PHRASE_CHARACTERS = 16
PHRASE_SALT = b"gateway: credentials at rest"
"""Fixed, as the same phrase must give the same key on every machine; scrypt makes guessing it slow."""


class SecretBox:
    """Seals with the first key, opens with whichever sealed. `seal(b"…", row="access:ID")` opens for that row only."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        assert keys, "there is nothing to seal with"
        assert all(len(key) == KEY_BYTES for key in keys), "an AES-256 key has 32 bytes"
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])

    @classmethod
    def load(cls, setting: str | None, data_dir: Path) -> SecretBox:
        """From the setting where it is given, else from the key file, which is made on the first start."""
        return cls.from_setting(setting) if setting else cls.from_file(data_dir / FILE)

    @classmethod
    def from_setting(cls, text: str) -> SecretBox:
        """From keys separated by commas, the newest first: each 32 bytes in base64 or hex, or a phrase."""
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not parts or any(len(part) < PHRASE_CHARACTERS for part in parts):
            raise SettingsError(
                f"{SETTING} is refused (its value is not shown): must be 32 random bytes in base64, or a phrase of at "
                f"least {PHRASE_CHARACTERS} characters; with several keys, separated by commas, the newest comes first"
            )
        return cls([_key(part) for part in parts])

    @classmethod
    def from_file(cls, path: Path) -> SecretBox:
        """From the file, created with a new key where there is none. SettingsError where others can read it."""
        try:
            _create(path)
            status = path.stat()
            if status.st_mode & 0o077:
                raise SettingsError(
                    f"{path} holds the key of all stored credentials, and others may read it (mode "
                    f"{status.st_mode & 0o777:04o}). Run: chmod 600 {path}, or set {SETTING}"
                )
            with path.open("rb") as file:
                text = file.read(KEY_FILE_BYTES).decode()
        except OSError as error:
            raise SettingsError(
                f"the key file {path} cannot be used ({error.strerror or error}): mend it or set {SETTING}"
            ) from None
        except UnicodeDecodeError:
            text = ""
        try:
            return cls.from_setting(",".join(text.split()))
        except SettingsError:
            raise SettingsError(
                f"the key file {path} holds no key: put it back from a backup, or set {SETTING} to the key that it held"
            ) from None

    @property
    def has_older_keys(self) -> bool:
        return len(self._ciphers) > 1

    def is_current(self, sealed: bytes) -> bool:
        """Was it sealed with the newest key?"""
        return sealed[:HEADER_BYTES] == VERSION + self._current

    def seal(self, plain: bytes, *, row: str) -> bytes:
        """Version, key id, nonce, cipher text and tag, in one piece."""
        header = VERSION + self._current
        nonce = secrets.token_bytes(NONCE_BYTES)
        return header + nonce + self._ciphers[self._current].encrypt(nonce, plain, header + row.encode())

    def open(self, sealed: bytes, *, row: str) -> bytes:
        """What was sealed for this row. Raises SettingsError for a key that is not there, else GatewayError."""
        header, nonce = sealed[:HEADER_BYTES], sealed[HEADER_BYTES : HEADER_BYTES + NONCE_BYTES]
        if header[:1] != VERSION or len(nonce) < NONCE_BYTES:
            raise GatewayError(f"The stored credential of {row} is damaged: enter it again.")
        cipher = self._ciphers.get(header[1:])
        if cipher is None:
            raise SettingsError(
                f"the stored credential of {row} was encrypted with another key: set {SETTING} to that key, "
                f"or to the new and that key, separated by a comma (without {SETTING}, keys are in the file {FILE})"
            )
        try:
            return cipher.decrypt(nonce, sealed[HEADER_BYTES + NONCE_BYTES :], header + row.encode())
        except InvalidTag:
            raise GatewayError(
                f"The stored credential of {row} was altered, or belongs to another row: enter it again."
            ) from None


def _key(text: str) -> bytes:
    for decode in (bytes.fromhex, _from_base64):
        try:
            key = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(key) == KEY_BYTES:
            return key
    return hashlib.scrypt(text.encode(), salt=PHRASE_SALT, n=2**14, r=8, p=1, dklen=KEY_BYTES)


def _from_base64(text: str) -> bytes:
    """Both alphabets (RFC 4648 §4, §5), padded or not."""
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"gateway: key id" + key).digest()[:KEY_ID_BYTES]


def _create(path: Path) -> None:
    """Put a new key there, whole and durable, unless there is a file; of two that try at once one wins."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd, new = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(fd, "w") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)
        except FileExistsError:
            return
        sync_folder(path.parent)
    finally:
        Path(new).unlink()
