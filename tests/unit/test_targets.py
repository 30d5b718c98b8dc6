"""The form of a target URL: what is refused, and how what is allowed is taken apart."""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from gateway.egress.target import Target, normal_host, parse_target
from gateway.errors import EgressRefused

ALLOWED = {
    "https://crm.example.com": Target("https", "crm.example.com", 443, "crm.example.com", "/"),
    "HTTP://CRM.Example.COM/a/B": Target("http", "crm.example.com", 80, "crm.example.com", "/a/B"),
    "https://crm.example.com:8443/x": Target("https", "crm.example.com", 8443, "crm.example.com:8443", "/x"),
    "https://crm.example.com:443/": Target("https", "crm.example.com", 443, "crm.example.com", "/"),
    "http://crm.example.com:443/": Target("http", "crm.example.com", 443, "crm.example.com:443", "/"),
    "https://crm.example.com?a=1&b=%20": Target("https", "crm.example.com", 443, "crm.example.com", "/?a=1&b=%20"),
    "https://a.example/é?ü=€": Target("https", "a.example", 443, "a.example", "/%C3%A9?%C3%BC=%E2%82%AC"),
    'https://a.example/{x}?y="z"|': Target("https", "a.example", 443, "a.example", "/%7Bx%7D?y=%22z%22%7C"),
    "https://münchen.example/": Target("https", "xn--mnchen-3ya.example", 443, "xn--mnchen-3ya.example", "/"),
    "https://my_service.example/": Target("https", "my_service.example", 443, "my_service.example", "/"),
    "http://192.0.2.1:81/": Target("http", "192.0.2.1", 81, "192.0.2.1:81", "/"),
    "http://[2001:DB8:0:0::1]:81/": Target("http", "2001:db8::1", 81, "[2001:db8::1]:81", "/"),
    "https://a.example/x?next=https://b.example/@": Target(
        "https", "a.example", 443, "a.example", "/x?next=https://b.example/@"
    ),
}

REFUSED = {
    # other numbers for an address
    "http://127.1/": "no address of the form",
    "http://0x7f.1/": "no address of the form",
    "http://0x7f000001/": "no address of the form",
    "http://0X7F.0.0.1/": "no address of the form",
    "http://0177.0.0.1/": "no address of the form",
    "http://127.0.0.01/": "no address of the form",
    "http://2130706433/": "no address of the form",
    "http://017700000001/": "no address of the form",
    "http://127.0.0.1.1/": "no address of the form",
    "http://256.1.1.1/": "no address of the form",
    "http://1.2.3.0x4/": "no address of the form",
    "http://1.0x/": "no address of the form",
    "http://a.example.123/": "no address of the form",
    # look-alikes and invisible characters
    "http://①②⑦.⓪.⓪.①/": "international",
    "http://１２７.0.0.1/": "international",
    "http://127。0。0。1/": "international",
    "http://127．0．0．1/": "international",
    "http://ｌocalhost.example/": "international",
    "http://a｡example/": "international",
    "http://exa\u212aple.com/": "international",
    "http://ﬀ.example/": "international",
    "http://MÜNCHEN.example/": "international",
    "http://xn--a.example/": "international",
    "http://xn--ls8h.example/": "international",
    "http://a.exa\u200bmple/": "U\\+200B",
    "http://a.exa\u00admple/": "U\\+00AD",
    "http://\u202ea.example/": "U\\+202E",
    "http://a.example/\ud800": "U\\+D800",
    "http://127.0.\t0.1/": "U\\+0009",
    "http://a.example\n/": "U\\+000A",
    "http://a.example/\r\nHost: b": "U\\+000D",
    "http://a.example/\x00": "U\\+0000",
    "http://a.example/\x7f": "U\\+007F",
    "http://a.example/\x85": "U\\+0085",
    " http://a.example/": "space",
    "http://a.example/a b": "space",
    "http://a.example\\@127.0.0.1/": "backslash",
    "http:\\\\a.example/": "backslash",
    # who is asked
    "http://user@a.example/": "access",
    "http://user:password@a.example/": "access",
    "http://a.example@127.0.0.1/": "access",
    "http://@a.example/": "access",
    "http://127.0.0.1%2f@a.example/": "access",
    "http://a%2eexample/": "“%”",
    "http://%31%32%37.0.0.1/": "“%”",
    "http://[fe80::1%25eth0]/": "“%”",
    "http://[fe80::1%eth0]/": "“%”",
    "http://localhost/": "single word",
    "http://LOCALHOST:8080/": "single word",
    "http://intranet/": "single word",
    "http://a.example./": "ends with a dot",
    "http://127.0.0.1./": "ends with a dot",
    "http://./": "ends with a dot",
    "http://.example/": "no valid name",
    "http://a..example/": "no valid name",
    "http://-a.example/": "no valid name",
    "http://a-.example/": "no valid name",
    "http://a,b.example/": "no valid name",
    "http://a*.example/": "no valid name",
    "http://$(id).example/": "no valid name",
    "http://a.example;b/": "no valid name",
    f"http://{'a' * 64}.example/": "no valid name",
    f"http://{'a.' * 130}example/": "no valid name",
    # brackets and ports
    "http://[::1/": "no IPv6 address",
    "http://[::1]x/": "no IPv6 address",
    "http://[::1]]/": "no IPv6 address",
    "http://[127.0.0.1]/": "no IPv6 address",
    "http://[a.example]/": "no IPv6 address",
    "http://[]/": "no IPv6 address",
    "http://[v1.a]/": "no IPv6 address",
    "http://::1/": "more than one colon",
    "http://a.example:80:80/": "more than one colon",
    "http://a.example:/": "port",
    "http://a.example:0/": "port",
    "http://a.example:65536/": "port",
    "http://a.example:080/": "port",
    "http://a.example:-1/": "port",
    "http://a.example:+80/": "port",
    "http://a.example:８０/": "port",
    "http://a.example:80x/": "port",
    "http://[::1]:/": "port",
    # the rest
    "": "must begin",
    "a.example": "must begin",
    "//a.example/": "must begin",
    "http:a.example": "must begin",
    "http:/a.example/": "must begin",
    "http:///a": "no host",
    "http://": "no host",
    "http://:80/": "no host",
    "http://?a": "no host",
    "file:///etc/passwd": "must begin",
    "gopher://a.example/": "must begin",
    "ftp://a.example/": "must begin",
    "javascript://a.example/%0aalert(1)": "must begin",
    "httpss://a.example/": "must begin",
    "http+unix://a.example/": "must begin",
    "https://a.example/#x": "fragment",
    "https://a.example#@127.0.0.1/": "fragment",
    "https://a.example/100%": "%25",
    "https://a.example/?a=%zz": "%25",
    "https://a.example/" + "a" * 2_048: "characters",
}


@pytest.mark.parametrize("url", ALLOWED)
def test_an_ordinary_url_is_taken_apart(url: str) -> None:
    assert parse_target(url) == ALLOWED[url]


@pytest.mark.parametrize("url", REFUSED, ids=ascii)
def test_a_url_that_could_be_read_in_two_ways_is_refused_with_a_reason(url: str) -> None:
    with pytest.raises(EgressRefused, match=REFUSED[url]) as refused:
        parse_target(url)
    assert refused.value.kind == "url"


def test_a_refusal_does_not_repeat_a_password_or_a_query() -> None:
    for url in ("http://user:hunter2@a.example/", "http://a/?token=hunter2", "http://a.example/?token=hunter2%"):
        with pytest.raises(EgressRefused) as refused:
            parse_target(url)
        assert "hunter2" not in refused.value.detail


def test_a_refusal_says_which_character_and_stays_short() -> None:
    with pytest.raises(EgressRefused) as refused:
        parse_target("http://" + "x\u0430" * 900 + "/")
    assert len(refused.value.detail) < 700
    assert refused.value.detail.replace("…", "").replace("“", "").replace("”", "").isascii()


def test_localhost_stands_only_where_it_may() -> None:
    assert parse_target("http://localhost:8080/x", localhost=True).host == "localhost"
    with pytest.raises(EgressRefused, match="GATEWAY_EGRESS_ALLOW"):
        parse_target("http://localhost/")
    with pytest.raises(EgressRefused, match="single word"):
        parse_target("http://intranet/", localhost=True)


@given(st.text(max_size=60).map("http://".__add__) | st.text(max_size=60))
def test_whatever_passes_is_in_ascii_and_safe_in_a_request_line(url: str) -> None:
    try:
        target = parse_target(url)
    except EgressRefused:
        return
    assert re.fullmatch(r"[!-~]+", target.authority + target.path)
    assert target.path.startswith("/")
    assert 1 <= target.port <= 65_535


TRICKY = st.text(
    st.sampled_from([*"0123456789abcdefxX.:[]@/\\?#% \t-_~", "①", "１", "。", "．", "\u0661", "\u200b", "ß", "K"]),
    max_size=24,
)


@given(TRICKY)
def test_other_parsers_read_the_same_host_in_what_passes(authority: str) -> None:
    url = f"http://{authority}/"
    try:
        target = parse_target(url)
    except EgressRefused:
        return
    for host in (urlsplit(url).hostname, URL(url).raw_host):
        assert host is not None
        assert normal_host(host) == target.host


@given(TRICKY)
def test_what_passes_as_a_name_is_no_number_to_any_resolver(authority: str) -> None:
    try:
        host = parse_target(f"http://{authority}/").host
    except EgressRefused:
        return
    last = host.rpartition(".")[2]
    if ":" in host or last.isdigit():
        assert str(ip_address(host)) == host
    else:
        assert not re.fullmatch(r"\d+|0x[0-9a-f]*", last)


@given(st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address))
def test_every_address_in_its_plain_spelling_passes(address: IPv4Address | IPv6Address) -> None:
    literal = f"[{address}]" if address.version == 6 else str(address)
    target = parse_target(f"http://{literal}/")
    assert (ip_address(target.host), target.authority) == (address, literal)


@given(st.integers(0, 2**32 - 1), st.data())
def test_no_other_spelling_of_an_ipv4_address_passes(number: int, data: st.DataObject) -> None:
    """inet_aton(3): one to four parts, each decimal, octal or hexadecimal, the last one filling what is left."""
    parts = data.draw(st.integers(1, 4))
    values = [(number >> (24 - 8 * i)) & 0xFF for i in range(parts - 1)]
    values.append(number & (0xFFFF_FFFF >> (8 * (parts - 1))))
    spellings = [data.draw(st.sampled_from([str(v), hex(v), f"0{v:o}", f"0x{v:08X}", f"00{v}"])) for v in values]
    plain = ".".join(map(str, values))
    spelled = ".".join(spellings)
    if spelled == plain and parts == 4:
        return
    with pytest.raises(EgressRefused):
        parse_target(f"http://{spelled}/")


def test_no_unicode_digit_or_dot_passes_in_a_host() -> None:
    """All characters that Unicode's compatibility mapping turns into those of an address."""
    for point in range(0x80, 0x11_0000):
        character = chr(point)
        if unicodedata.normalize("NFKC", character).lower() in {*"0123456789.abcdefx:[]@/"}:
            for url in (f"http://{character}27.0.0.1/", f"http://127{character}0.0.1/", f"http://127.0.0.{character}/"):
                with pytest.raises(EgressRefused):
                    parse_target(url)


@pytest.mark.parametrize(
    ("written", "normal"), [("A.Example", "a.example"), ("[::0001]", "::1"), ("::1", "::1"), ("10.0.0.1", "10.0.0.1")]
)
def test_a_host_alone_is_spelled_like_a_targets(written: str, normal: str) -> None:
    assert normal_host(written) == normal
