"""The console of the real program: the first start's link, and nothing of it at the next."""

from __future__ import annotations

import re
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import pytest

from tests.acceptance.test_cli import LIMIT_S, Program

SIGN_IN = re.compile(r"Sign in: +(http://\S+)")


def browser() -> OpenerDirector:
    return build_opener(HTTPCookieProcessor(CookieJar()))


def read(opener: OpenerDirector, url: str) -> str:
    with opener.open(url, timeout=LIMIT_S) as response:
        text: bytes = response.read()
    return text.decode()


def test_the_first_start_prints_a_link_that_signs_the_admin_in_once(tmp_path: Path) -> None:
    program = Program(tmp_path / "data")
    try:
        link = SIGN_IN.search(program.output.read_text())
        assert link is not None
        mine = browser()
        assert "<h1>Overview</h1>" in read(mine, link[1])
        assert "Add New Token" in read(mine, program.url + "/operations/tokens")
        with pytest.raises(HTTPError) as refused:
            read(browser(), link[1])
        refused.value.close()
        assert refused.value.code == 422
    finally:
        program.stop()
    again = Program(tmp_path / "data")
    try:
        assert SIGN_IN.search(again.output.read_text()) is None
        with pytest.raises(HTTPError) as forgotten:  # what was promised by the process before is forgotten with it
            read(browser(), again.url + link[1].removeprefix(program.url))
        forgotten.value.close()
    finally:
        again.stop()
