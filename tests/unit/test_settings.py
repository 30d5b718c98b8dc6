"""Settings: the precedence of their layers, and one clear line for each wrong one."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.settings import Settings, parse_duration_s


@pytest.fixture(autouse=True)
def only_what_a_test_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("GATEWAY_")]:
        monkeypatch.delenv(name)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    return path


def test_the_defaults_are_those_of_the_manual() -> None:
    settings = Settings.load()
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 8080, Path("gateway-data"))
    assert settings.egress_allow == () and settings.egress_ports == {80, 443}
    hours = (2, 5, 10, 14, 20, 24)
    assert settings.retry_schedule_s == (5, 300, 1800, *(hour * 3600 for hour in hours))
    assert (settings.log_level, settings.log_format) == ("info", None)
    assert settings.database_url is settings.admin_token is settings.secret_key is None


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = written(tmp_path, 'port = 1\nhost = "file"\nlog_level = "error"')
    monkeypatch.setenv("GATEWAY_PORT", "2")
    monkeypatch.setenv("GATEWAY_HOST", "environment")
    settings = Settings.load(config, port=3, host=None)
    assert (settings.port, settings.host, settings.log_level) == (3, "environment", "error")


def test_lists_are_read_from_text_and_from_toml_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_EGRESS_ALLOW", "127.0.0.0/8, ::1")
    config = written(tmp_path, 'GATEWAY_EGRESS_PORTS = [80, 8443]\nretry_schedule = ["250ms", 2, "1.5h"]')
    settings = Settings.load(config)
    assert settings.egress_allow == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert settings.egress_ports == {80, 8443}
    assert settings.retry_schedule_s == (0.25, 2, 5400)


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "EGRESS_PORTS", "SECRET_KEY", "SECRET_KEY_FILE", "LOG_FORMAT", "RETRY_SCHEDULE"):
        monkeypatch.setenv(f"GATEWAY_{name}", "")
    assert Settings.load() == Settings()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "99999", "from 0"),
        ("PORT", "http", "from 0"),
        ("HOST", "two words", "to listen on"),
        ("EGRESS_ALLOW", "10.0.0.1/8", "host bits"),
        ("EGRESS_ALLOW", "everything", "networks such as"),
        ("EGRESS_PORTS", "80,0", "1 to 65535"),
        ("EGRESS_PORTS", "80,https", "1 to 65535"),
        ("RETRY_SCHEDULE", "5s,soon", "'soon' is no duration"),
        ("RETRY_SCHEDULE", "0s", "out of range"),
        ("RETRY_SCHEDULE", "31d", "out of range"),
        ("RETRY_SCHEDULE", ",".join(["1s"] * 101), "101 waits"),
        ("RETRY_SCHEDULE", ",", "0 waits"),
        ("LOG_LEVEL", "loud", "one of debug"),
        ("LOG_FORMAT", "xml", "console or json"),
        ("DATABASE_ALLOW_UNSAFE", "wal_level", "fsync"),
        ("DATA_DIR", __file__, "a directory"),
    ],
)
def test_a_wrong_value_is_one_line_with_variable_value_and_what_is_allowed(
    name: str, value: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"GATEWAY_{name}", value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    line = str(caught.value)
    assert line.startswith(f"GATEWAY_{name} is ") and value[:40] in line and allowed in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short-secret"),
        ("ADMIN_TOKEN", "has a space"),
        ("DATABASE_URL", "mysql://u:pass@host/db"),
        ("DATABASE_URL", "postgresql://u:pass@host:port/db"),
        ("DATABASE_URL", "postgresql://u:pass@one:5432,two:99999/db"),
    ],
)
def test_a_wrong_secret_is_named_but_never_shown(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"GATEWAY_{name}", value)
    with pytest.raises(SettingsError, match=f"^GATEWAY_{name} is refused .* must be ") as caught:
        Settings.load()
    assert value not in str(caught.value) and "pass@" not in str(caught.value)


def test_a_wrong_value_from_the_file_names_the_file(tmp_path: Path) -> None:
    config = written(tmp_path, "port = -1")
    with pytest.raises(SettingsError, match=r"^GATEWAY_PORT \(.*gateway.toml\) is -1: must be a whole number"):
        Settings.load(config)


def test_a_wrong_flag_names_the_flag() -> None:
    with pytest.raises(SettingsError, match=r"^GATEWAY_PORT \(--port\) is 70000"):
        Settings.load(port=70000)


def test_an_unknown_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_EGRES_PORTS", "80")
    with pytest.raises(SettingsError, match=r"GATEWAY_EGRES_PORTS is no setting: did you mean GATEWAY_EGRESS_PORTS\?"):
        Settings.load()


def test_an_unknown_key_in_the_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"databse_url .*gateway.toml.* did you mean GATEWAY_DATABASE_URL\?"):
        Settings.load(written(tmp_path, 'databse_url = "postgresql://x/y"'))


def test_the_variables_of_the_command_line_client_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_URL", "http://127.0.0.1:8080")
    monkeypatch.setenv("GATEWAY_TOKEN", "t")
    assert Settings.load() == Settings()


def test_a_secret_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("0123456789abcdef\n")
    monkeypatch.setenv("GATEWAY_SECRET_KEY_FILE", str(tmp_path / "key"))
    assert Settings.load().secret_key == "0123456789abcdef"


def test_a_secret_given_twice_in_one_layer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ADMIN_TOKEN", "one")
    monkeypatch.setenv("GATEWAY_ADMIN_TOKEN_FILE", str(tmp_path / "other"))
    with pytest.raises(SettingsError, match="both given"):
        Settings.load()


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_secret_file_that_cannot_be_used_is_named(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("GATEWAY_ADMIN_TOKEN_FILE", str(path))
    with pytest.raises(SettingsError, match=r"^GATEWAY_ADMIN_TOKEN_FILE is '.*token': must be a "):
        Settings.load()


@pytest.mark.parametrize("text", [None, "port = = 1"])
def test_a_file_that_cannot_be_read_is_named(text: str | None, tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml" if text is None else written(tmp_path, text)
    with pytest.raises(SettingsError, match=r"^--config is '.*gateway.toml': "):
        Settings.load(config)


def test_what_is_logged_holds_no_secret() -> None:
    settings = Settings(
        database_url="postgresql://app:hunter2@db.example:5432/events?password=hunter3",
        admin_token="hunter4",
        secret_key="hunter5-hunter5-hunter5",
    )
    assert "hunter" not in repr(settings.redacted()) + repr(settings) + str(settings)
    assert settings.redacted()["database_url"] == "postgresql://db.example:5432/events"
    assert settings.redacted()["egress_ports"] == [80, 443]


@pytest.mark.parametrize(("text", "duration_s"), [("5s", 5), ("2.5m", 150), ("1d", 86400), (" 10ms ", 0.01)])
def test_durations_have_a_number_and_a_unit(text: str, duration_s: float) -> None:
    assert parse_duration_s(text) == pytest.approx(duration_s)
