"""`gateway demo` as a person runs it: it shows what flows, ends when told to, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

LIMIT_S = 90


class Demo:
    """One `gateway demo` on a data directory, its output in a file."""

    def __init__(self, folder: Path, *options: str, name: str = "demo") -> None:
        self.data_dir = folder / "data"
        self.output = folder / f"{name}.out"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GATEWAY_")}
        command = [sys.executable, "-m", "gateway.cli", "demo", "--data-dir", str(self.data_dir), *options]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match in the output; the demo must not have ended without it."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            ended = self.process.poll() is not None
            text = self.output.read_text()
            if found := re.search(pattern, text):
                return found
            assert not ended, text
            assert time.monotonic() < deadline, text
            time.sleep(0.05)  # a file tells only who asks

    def end(self) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(LIMIT_S)

    def processes(self) -> list[psutil.Process]:
        """Whatever runs on its data directory: the demo, its gateway, its PostgreSQL."""
        found = []
        for process in psutil.process_iter():
            try:
                if any(str(self.data_dir) in part for part in process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for process in Demo.processes(_On(tmp_path / "data")):
        process.kill()


class _On(Demo):
    """Nothing started: only a name for what may be left on a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir


def test_a_demo_with_an_end_delivers_all_that_was_accepted_and_leaves_no_process(folder: Path) -> None:
    demo = Demo(folder, "--seconds", "8", "--rate", "20")
    assert demo.end() == 0, demo.output.read_text()
    text = demo.output.read_text()
    accepted, delivered = re.findall(r"accepted ([\d,]+)  delivered ([\d,]+)", text)[-1]
    assert int(delivered.replace(",", "")) > int(accepted.replace(",", "")) > 100
    assert "every accepted event has arrived at every webhook that it is for" in text
    assert "NOT GENUINE" not in text
    assert "DOUBLED" not in text
    assert demo.processes() == []


def test_a_demo_says_where_everything_is(folder: Path) -> None:
    demo = Demo(folder)
    url = demo.wait_for(r"Console +(http://127\.0\.0\.1:\d+)")[1]
    token = demo.wait_for(r"Admin token +(\S+)")[1]
    kept = demo.data_dir / "admin-token"
    assert kept.read_text().strip() == token
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    link = demo.wait_for(r"Sign in with +(\S+)")[1]
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    assert "Sign out" in browser.open(link, timeout=LIMIT_S).read().decode()
    listing = [sys.executable, "-m", "gateway.cli", "webhook", "list", "--url", url, "--data-dir", str(demo.data_dir)]
    shown = subprocess.run(listing, capture_output=True, text=True)
    assert all(name in shown.stdout for name in ("CRM", "Collections", "Warehouse")), shown.stderr
    demo.process.send_signal(signal.SIGTERM)
    assert demo.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_demo_cleanly(folder: Path, number: signal.Signals) -> None:
    demo = Demo(folder, "--rate", "20")
    demo.wait_for(r"Ctrl-C stops it all")
    assert demo.processes() != []
    demo.process.send_signal(number)
    assert demo.end() == 0, demo.output.read_text()
    assert demo.processes() == []


def test_a_signal_during_the_start_ends_it_too(folder: Path) -> None:
    demo = Demo(folder)
    demo.wait_for(r"Starting the gateway")
    time.sleep(0.5)  # somewhere in the middle of it: what is being started is not seen from here
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 0, demo.output.read_text()
    assert demo.processes() == []


def test_a_killed_demo_takes_its_gateway_along_and_starts_again(folder: Path) -> None:
    first = Demo(folder, "--rate", "20", name="first")
    token = first.wait_for(r"Admin token +(\S+)")[1]
    first.wait_for(r"accepted \d+")
    first.process.kill()
    first.end()
    second = Demo(folder, "--rate", "20", "--seconds", "3", name="second")
    assert second.wait_for(r"Admin token +(\S+)")[1] == token
    assert second.end() == 0, second.output.read_text()
    assert "NOT GENUINE" not in second.output.read_text()
    assert second.processes() == []


def test_a_demo_whose_gateway_dies_says_so(folder: Path) -> None:
    demo = Demo(folder)
    demo.wait_for(r"Ctrl-C stops it all")
    serving = [process for process in demo.processes() if "serve" in process.cmdline()]
    for process in serving:
        process.kill()
    assert demo.end() == 1
    assert "The gateway ended by itself" in demo.output.read_text()


def test_a_demo_without_its_token_says_what_to_do(folder: Path) -> None:
    first = Demo(folder, "--seconds", "0.1", name="first")
    assert first.end() == 0, first.output.read_text()
    (first.data_dir / "admin-token").unlink()
    second = Demo(folder, name="second")
    assert second.end() == 1
    assert "Delete the folder" in second.output.read_text()
    assert second.processes() == []
