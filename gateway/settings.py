"""Owns every setting: one frozen `Settings`, read from flags, the environment and a TOML file, in that order.

A value that reaches the rest of the program has been checked here. Constructing `Settings` directly
reads nothing but its arguments, which is how tests make theirs; `Settings.load` reads the layers.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gateway.errors import SettingsError
from gateway.setting_values import (
    RETRIES_LIMIT,
    RETRY_WAIT_LIMIT_S,
    IPNetwork,
    Rule,
    UnsafeDatabase,
    bearer_token,
    bounded_schedule,
    directory,
    duration_s,
    listed,
    lower,
    networks,
    parse_duration_s,
    postgresql_url,
    schedule_s,
)

__all__ = ["RETRIES_LIMIT", "RETRY_WAIT_LIMIT_S", "Settings", "parse_duration_s"]

PREFIX = "GATEWAY_"
CLIENT_VARIABLES = frozenset({"GATEWAY_URL", "GATEWAY_TOKEN", "GATEWAY_TOKEN_FILE"})
"""Read by the commands that are clients of a running gateway; no settings of the gateway itself."""

SECRET_FILE_BYTES_LIMIT = 64 * 1024
SHOWN_CHARACTERS_LIMIT = 80


class Settings(BaseModel):
    """Every setting with its default. The variable of a field is its alias or name in capitals, after `GATEWAY_`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    database_url: Annotated[
        str | None,
        AfterValidator(lambda url: url and postgresql_url(url)),
        Rule("a URL such as postgresql://user:password@host:5432/database", secret=True),
    ] = Field(default=None, repr=False)
    data_dir: Annotated[Path, AfterValidator(directory), Rule("a directory, or a path where one can be made")] = Path(
        "gateway-data"
    )
    host: Annotated[
        str, Field(pattern=r"^[0-9A-Za-z.:_%-]+$"), Rule("an address or a host name of this machine to listen on")
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535), Rule("a whole number from 0 (any free port) to 65535")] = 8080
    admin_token: Annotated[
        str | None,
        AfterValidator(lambda token: token and bearer_token(token)),
        Rule("letters, digits and -._~+/ (what RFC 6750 lets a bearer token be)", secret=True),
    ] = Field(default=None, repr=False)
    secret_key: Annotated[
        str | None, Field(min_length=16), Rule("at least 16 characters, better 32 random bytes in base64", secret=True)
    ] = Field(default=None, repr=False)
    egress_allow: Annotated[
        tuple[IPNetwork, ...],
        BeforeValidator(networks),
        Rule("comma-separated networks such as 10.20.0.0/16,fd00:1::/64"),
    ] = ()
    egress_ports: Annotated[
        frozenset[Annotated[int, Field(ge=1, le=65_535)]],
        BeforeValidator(listed),
        Rule("comma-separated port numbers from 1 to 65535 such as 80,443"),
    ] = frozenset({80, 443})
    retry_schedule_s: Annotated[
        tuple[float, ...],
        BeforeValidator(schedule_s),
        AfterValidator(bounded_schedule),
        Rule(f"1 to {RETRIES_LIMIT} comma-separated waits of up to 30 days such as 5s,5m,2h (units: ms, s, m, h, d)"),
    ] = Field(default=(5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400), alias="retry_schedule")
    pause_after_s: Annotated[
        float,
        BeforeValidator(duration_s),
        Field(gt=0, le=365 * 86_400),
        Rule("a duration of up to 365 days such as 5d or 12h (units: ms, s, m, h, d)"),
    ] = Field(default=5 * 86_400, alias="pause_after")
    """A webhook that has failed for so long without one success is paused, and holds its events."""
    retention_days: Annotated[int, Field(ge=1, le=3_650), Rule("a whole number of days from 1 to 3650")] = 90
    """How long events and attempts are kept; what is still unsettled stays longer."""
    tenant_rate_per_s: Annotated[
        float | None, Field(gt=0, le=100_000), Rule("events a second, more than 0 and up to 100000")
    ] = None
    """How many events a second each tenant may push, unless it has a rate of its own; None: no limit."""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lower),
        Rule("one of debug, info, warning, error"),
    ] = "info"
    log_format: Annotated[Literal["console", "json"] | None, BeforeValidator(lower), Rule("console or json")] = None
    """None: console on a terminal, else JSON."""
    database_allow_unsafe: Annotated[
        frozenset[UnsafeDatabase],
        BeforeValidator(listed),
        Rule("comma-separated: fsync, full_page_writes, synchronous_commit"),
    ] = frozenset()
    """Server settings that may be off although accepted events can then be lost; for throw-away databases."""

    @classmethod
    def load(cls, config: Path | None = None, **flags: object) -> Self:
        """Read all layers; a flag that is None counts as not given. SettingsError for the first wrong setting."""
        layers = [
            {cls._key(name): (value, f"--{name.replace('_', '-')}") for name, value in flags.items()},
            _with_secret_files(cls._environment(os.environ)),
            _with_secret_files(cls._file(config) if config else {}),
        ]
        merged: dict[str, tuple[object, str]] = {}
        for layer in reversed(layers):
            merged |= {key: pair for key, pair in layer.items() if pair[0] not in (None, "")}
        try:
            return cls(**{key: value for key, (value, _) in merged.items()})
        except ValidationError as error:
            raise SettingsError(cls._explain(error, merged)) from None

    def redacted(self) -> dict[str, object]:
        """Every setting as it may be logged: secrets are `set` or None, and a database URL loses its password."""
        shown: dict[str, object] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            shown[name] = ("set" if value else None) if _rule(name).secret else _plain(value)
        if self.database_url:
            split = urlsplit(self.database_url)
            shown["database_url"] = f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}"
        return shown

    @classmethod
    def _key(cls, name: str) -> str:
        field = cls.model_fields.get(name)
        return (field.alias or name) if field else name

    @classmethod
    def _environment(cls, environ: Mapping[str, str]) -> dict[str, tuple[object, str]]:
        found = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
        return _known({name: value for name, value in found.items() if name not in CLIENT_VARIABLES}, "environment")

    @classmethod
    def _file(cls, config: Path) -> dict[str, tuple[object, str]]:
        try:
            content = tomllib.loads(config.read_text("utf-8"))
        except OSError as error:
            raise SettingsError(f"--config is {str(config)!r}: {error.strerror or error}") from None
        except ValueError as error:
            raise SettingsError(f"--config is {str(config)!r}: not TOML ({error})") from None
        return _known(content, str(config))

    @classmethod
    def _explain(cls, error: ValidationError, merged: Mapping[str, tuple[object, str]]) -> str:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        rule = _rule(key)
        value, source = merged.get(key, (None, ""))
        where = "" if source == "environment" else f" ({source})"
        is_what = "is refused (its value is not shown)" if rule.secret else f"is {_shorten(repr(_plain(value)))}"
        cause = first.get("ctx", {}).get("error")
        because = f" ({cause})" if cause is not None and not rule.secret else ""
        return f"{_variable(key)}{where} {is_what}: must be {rule.allowed}{because}"


_FIELDS = {field.alias or name: field for name, field in Settings.model_fields.items()}
_SECRETS = frozenset(key for key in _FIELDS if any(isinstance(m, Rule) and m.secret for m in _FIELDS[key].metadata))
KEYS = frozenset(_FIELDS) | {f"{key}_file" for key in _SECRETS}


def _variable(key: str) -> str:
    return PREFIX + key.upper()


def _rule(name: str) -> Rule:
    field = _FIELDS[Settings._key(name)]
    return next(part for part in field.metadata if isinstance(part, Rule))


def _plain(value: Any) -> object:
    """A value as text and numbers, in a stable order."""
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [part if isinstance(part, int | float) else str(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS_LIMIT else text[:SHOWN_CHARACTERS_LIMIT] + "…"


def _known(layer: Mapping[str, object], source: str) -> dict[str, tuple[object, str]]:
    """The layer by field, each value with where it came from; an unknown name is refused with the nearest one."""
    known: dict[str, tuple[object, str]] = {}
    for name, value in layer.items():
        key = name.lower().removeprefix(PREFIX.lower())
        if key not in KEYS:
            near = difflib.get_close_matches(key, sorted(KEYS), n=1)
            hint = (
                f"did you mean {_variable(near[0])}?"
                if near
                else f"known are {', '.join(sorted(map(_variable, KEYS)))}"
            )
            where = "" if source == "environment" else f" (in {source})"
            raise SettingsError(f"{_shorten(name)}{where} is no setting: {hint}")
        known[key] = (value, source)
    return known


def _with_secret_files(layer: dict[str, tuple[object, str]]) -> dict[str, tuple[object, str]]:
    """The layer with each `…_file` replaced by what that file says, without its last line end."""
    given = {key: pair for key, pair in layer.items() if pair[0] != ""}
    for key in _SECRETS:
        path, source = given.pop(f"{key}_file", (None, ""))
        if path is None:
            continue
        variable = _variable(f"{key}_file")
        if key in given:
            raise SettingsError(f"{variable} and {_variable(key)} are both given: set one of them")
        try:
            with Path(str(path)).open("rb") as file:
                content = file.read(SECRET_FILE_BYTES_LIMIT).decode().rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SettingsError(f"{variable} is {str(path)!r}: must be a readable file ({reason})") from None
        if not content:
            raise SettingsError(f"{variable} is {str(path)!r}: must be a file that is not empty")
        given[key] = (content, source)
    return given
