"""The first webhook, typed exactly as the README says."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

from bench.process import ADMIN_TOKEN
from tests.acceptance.program import Gateway, RecordTarget

ROOT = Path(__file__).parents[2]


async def test_the_lines_of_the_readme_deliver_an_event(tmp_path: Path) -> None:
    block = re.search(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    async with RecordTarget() as target, Gateway(tmp_path / "data", egress_ports=[target.port]) as gateway:
        (tmp_path / "admin-token").write_text(ADMIN_TOKEN)
        lines = block[1]
        for theirs, ours in (
            ("http://127.0.0.1:8080", gateway.url),
            ("gateway-data/admin-token", str(tmp_path / "admin-token")),
            ("https://crm.example.com/calls", target.url("/t/crm")),
        ):
            assert theirs in lines
            lines = lines.replace(theirs, ours)
        shell = await asyncio.create_subprocess_exec(
            "bash", "-e", "-c", lines, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await shell.communicate()
        assert shell.returncode == 0
        assert await target.arrived("/t/crm", 1, timeout_s=5.0)
    log = json.loads(output[output.rindex(b'{"items"') :])
    assert [attempt["outcome"] for attempt in log["items"]] == ["success"]
