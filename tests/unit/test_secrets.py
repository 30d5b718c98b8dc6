"""Sealed credentials: opened by the right key for the right row, and by nothing else."""

from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, SettingsError
from gateway.store.secrets import SecretBox

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
BOX = SecretBox([KEY])


@given(st.binary(max_size=200), st.text(max_size=40).filter(str.isprintable))
def test_what_is_sealed_opens_for_its_row(plain: bytes, row: str) -> None:
    assert BOX.open(BOX.seal(plain, row=row), row=row) == plain


def test_the_same_secret_never_looks_the_same() -> None:
    assert len({BOX.seal(b"secret", row="access:1") for _ in range(100)}) == 100


def test_a_credential_copied_into_another_row_does_not_open() -> None:
    sealed = BOX.seal(b"hunter2", row="access:1")
    with pytest.raises(GatewayError, match="access:2") as refused:
        BOX.open(sealed, row="access:2")
    assert "hunter2" not in str(refused.value)


@given(st.integers(min_value=0, max_value=200), st.integers(min_value=1, max_value=255))
def test_no_altered_byte_goes_unnoticed(place: int, difference: int) -> None:
    sealed = bytearray(BOX.seal(b"secret" * 10, row="access:1"))
    sealed[place % len(sealed)] ^= difference
    with pytest.raises(GatewayError):
        BOX.open(bytes(sealed), row="access:1")


@given(st.binary(max_size=60))
def test_anything_else_is_refused_and_never_crashes(sealed: bytes) -> None:
    with pytest.raises(GatewayError):
        BOX.open(sealed, row="access:1")


def test_a_new_key_in_front_seals_and_the_old_one_still_opens() -> None:
    rotated = SecretBox([OTHER, KEY])
    old = BOX.seal(b"secret", row="access:1")
    assert rotated.open(old, row="access:1") == b"secret"
    new = rotated.seal(b"secret", row="access:1")
    assert SecretBox([OTHER]).open(new, row="access:1") == b"secret"


def test_a_missing_key_is_an_error_that_names_the_setting() -> None:
    sealed = BOX.seal(b"hunter2", row="webhook:7")
    with pytest.raises(SettingsError, match=r"webhook:7.*GATEWAY_SECRET_KEY"):
        SecretBox([OTHER]).open(sealed, row="webhook:7")


@pytest.mark.parametrize(
    "spelled",
    [
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode().rstrip("="),
        KEY.hex(),
        f" {KEY.hex().upper()} ",
        f"{base64.b64encode(KEY).decode()},{OTHER.hex()}",
    ],
)
def test_a_key_may_be_spelled_in_base64_or_hex(spelled: str) -> None:
    sealed = SecretBox.from_setting(spelled).seal(b"secret", row="access:1")
    assert BOX.open(sealed, row="access:1") == b"secret"


def test_a_phrase_is_a_key_too_and_the_same_one_everywhere() -> None:
    sealed = SecretBox.from_setting("correct horse battery staple").seal(b"secret", row="access:1")
    again = SecretBox.from_setting("correct horse battery staple")
    assert again.open(sealed, row="access:1") == b"secret"


@pytest.mark.parametrize("text", ["", " , ", "short", "correct horse battery staple,short"])
def test_a_setting_that_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SettingsError, match="GATEWAY_SECRET_KEY") as refused:
        SecretBox.from_setting(text)
    assert "staple" not in str(refused.value)
    assert "short" not in str(refused.value)


def test_the_first_start_makes_a_key_file_for_the_owner_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    sealed = SecretBox.load(None, data_dir).seal(b"secret", row="access:1")
    assert stat.S_IMODE((data_dir / "secret.key").stat().st_mode) == 0o600
    assert SecretBox.load(None, data_dir).open(sealed, row="access:1") == b"secret"
    assert [path.name for path in data_dir.iterdir()] == ["secret.key"]


def test_starts_at_the_same_time_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        boxes = list(threads.map(lambda _: SecretBox.load(None, tmp_path), range(16)))
    sealed = boxes[0].seal(b"secret", row="access:1")
    assert {box.open(sealed, row="access:1") for box in boxes} == {b"secret"}


def test_a_setting_goes_before_the_file_and_makes_none(tmp_path: Path) -> None:
    SecretBox.load(KEY.hex(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    SecretBox.load(None, tmp_path)
    key = (tmp_path / "secret.key").read_text().strip()
    (tmp_path / "secret.key").chmod(0o640)
    with pytest.raises(SettingsError, match=r"mode 0640.*chmod 600") as refused:
        SecretBox.load(None, tmp_path)
    assert key not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"\xff" * 40])
def test_a_key_file_without_a_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret.key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(SettingsError, match="holds no key"):
        SecretBox.load(None, tmp_path)
    assert file.read_bytes() == content


def test_a_key_file_may_hold_a_new_and_an_old_key(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    file.write_text(f"{OTHER.hex()}\n{KEY.hex()}\n")
    file.chmod(0o600)
    assert SecretBox.load(None, tmp_path).open(BOX.seal(b"secret", row="a"), row="a") == b"secret"


def test_a_key_file_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="GATEWAY_SECRET_KEY"):
        SecretBox.load(None, tmp_path / "file")
