"""What a target URL may look like, and its parts once it has been taken apart.

Invariant: a `Target`'s host is either an address as `ipaddress` writes it or a DNS name that no resolver can
take for an address, so that what was checked is what is dialled. Stricter than the WHATWG URL standard on
purpose: whatever two parsers could read differently is refused.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from urllib.parse import quote

import idna

from gateway.errors import EgressRefused

URL_CHARACTERS = 2_048
HOST_CHARACTERS = 253
SHOWN_CHARACTERS = 80
DEFAULT_PORTS = {"http": 80, "https": 443}

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)  # RFC 3986, appendix B
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_LOOSE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PATH_SAFE = "/:@!$&'()*+,;=-._~%"
_QUERY_SAFE = _PATH_SAFE + "?"
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
"""ASCII only: `str.lower` turns the Kelvin sign into a k."""


@dataclass(frozen=True, slots=True)
class Target:
    """A vetted URL, taken apart. `host` is a lower-case IDNA name or an IP literal without brackets.

    `authority` is what the Host header says; `path` is the request target (path and query) in ASCII.
    """

    scheme: str
    host: str
    port: int
    authority: str
    path: str


def parse_target(url: str, *, localhost: bool = False) -> Target:
    """Take a webhook's URL apart. Raises `EgressRefused` of kind `url` that says what is wrong and what would do.

    `localhost` is whether that name may stand although it has no dot. Where the target is, and whether its port
    is open, is not looked at.
    """
    if len(url) > URL_CHARACTERS:
        raise _refused(f"The URL has {len(url)} characters; at most {URL_CHARACTERS} are allowed.")
    for character in url:
        if character == "\\" or unicodedata.category(character) in _INVISIBLE:
            raise _refused(
                f"The URL contains {_named(character)}. Remove it, or write it percent-encoded in the path or query."
            )
    found = _URL.fullmatch(url)
    if found is None or (scheme := found[1].lower()) not in DEFAULT_PORTS:
        raise _refused("The URL must begin with http:// or https:// and a host name.")
    if found[5] is not None:
        raise _refused("The URL has a fragment (“#…”), which no server ever sees. Leave it out, or write # as %23.")
    host, port = _host_and_port(found[2], localhost=localhost)
    named = f"[{host}]" if ":" in host else host
    authority = named if port in (None, DEFAULT_PORTS[scheme]) else f"{named}:{port}"
    return Target(scheme, host, port or DEFAULT_PORTS[scheme], authority, _request_target(found[3], found[4] or ""))


def normal_host(host: str) -> str:
    """A host as `Target.host` spells it. Raises `EgressRefused` of kind `url` where it can be none."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    return _address(bare) if ":" in bare else _name_or_ipv4(bare)


def _host_and_port(authority: str, *, localhost: bool) -> tuple[str, int | None]:
    if "@" in authority:
        raise _refused("The URL contains a user name or password. Put credentials into an access instead.")
    if "%" in authority:
        raise _refused("The URL's host contains “%”. Write the name itself; scope ids and encoded names are refused.")
    if authority.startswith("["):
        bare, bracket, rest = authority[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _refused(f"The URL's host {_shown(authority)} is no IPv6 address in brackets.")
        host = _address(bare)
    else:
        bare, colon, rest = authority.partition(":")
        rest = colon + rest
        if ":" in rest[1:]:
            raise _refused(
                f"The URL's host {_shown(authority)} has more than one colon; put an IPv6 address in brackets."
            )
        host = _name_or_ipv4(bare)
        if "." not in host and not (localhost and host == "localhost"):
            hint = " (add 127.0.0.0/8 to GATEWAY_EGRESS_ALLOW to use it)" if host == "localhost" else ""
            raise _refused(
                f"The URL's host {_shown(bare)} is a single word{hint}. Write a full name such as crm.example.com."
            )
    return host, _port(rest[1:]) if rest else None


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65_535:
        raise _refused(f"The URL's port {_shown(text)} is not a number from 1 to 65535.")
    return int(text)


def _address(bare: str) -> str:
    try:
        return str(IPv6Address(bare))
    except ValueError:
        raise _refused(f"The URL's host {_shown(bare)} is no IPv6 address.") from None


def _name_or_ipv4(bare: str) -> str:
    host = bare.translate(_LOWER)
    if not host:
        raise _refused("The URL has no host name.")
    if host.endswith("."):
        raise _refused(f"The URL's host {_shown(bare)} ends with a dot. Leave the dot out.")
    if not host.isascii() or "xn--" in host:
        host = _to_ascii(host)
    labels = host.split(".")
    if len(host) > HOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused(f"The URL's host {_shown(bare)} is no valid name.")
    # Resolvers take 127.1, 0x7f.0.0.1, 0177.0.0.1 and 2130706433 for addresses, so a name that ends in a number
    # must be one in its one plain spelling (the WHATWG URL standard has the same "ends in a number" rule).
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ip_address(host))
        except ValueError:
            raise _refused(f"The URL's host {_shown(bare)} is no address of the form 192.0.2.1, and no name.") from None
    return host


def _to_ascii(host: str) -> str:
    """The A-labels of IDNA 2008 (RFC 5891), without its look-alike mappings: full-width digits are refused."""
    try:
        return idna.encode(host, strict=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise _refused(
            f"The URL's host {_shown(host)} is no valid international name (IDNA 2008, lower case)."
        ) from None


def _request_target(path: str, query: str) -> str:
    if _LOOSE_PERCENT.search(path + query):
        raise _refused("The URL's path or query has a “%” without two hexadecimal digits. Write a plain % as %25.")
    return quote(path or "/", safe=_PATH_SAFE) + quote(query, safe=_QUERY_SAFE)


def _named(character: str) -> str:
    if character in " \\":
        return {" ": "a space", "\\": "a backslash"}[character]
    return f"the character U+{ord(character):04X} ({unicodedata.name(character, 'a control character')})"


def _shown(text: str) -> str:
    """A part of the URL as a message may repeat it: short, in ASCII. Never a query, which may hold a secret."""
    return ascii(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…")


def _refused(detail: str) -> EgressRefused:
    return EgressRefused("url", detail)
