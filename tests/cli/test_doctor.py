"""What would work on this machine."""

import json
from pathlib import Path
from typing import Any

from tests.support.server_process import letta_grpc, serving_process


def found(*flags: str, exit_code: int = 0, **environ: str) -> dict[str, dict[str, Any]]:
    result = letta_grpc("doctor", "--json", *flags, **environ)  # type: ignore[arg-type]  # none of them is `timeout`
    assert result.returncode == exit_code, result.stdout + result.stderr
    return {one["subject"]: one for one in json.loads(result.stdout)}


def at(folder: Path) -> tuple[str, str]:
    return "--database", f"sqlite:///{folder / 'letta.db'}"


def test_a_machine_on_which_all_is_well_is_told_so_and_left_as_it_was(tmp_path: Path) -> None:
    result = letta_grpc("doctor", *at(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    subjects = [line.split()[0] for line in result.stdout.splitlines()]
    assert subjects == ["SUBJECT", "database", "sandbox", "mcp"]
    assert list(tmp_path.iterdir()) == []


def test_a_server_at_work_does_not_disturb_it(tmp_path: Path) -> None:
    with serving_process(tmp_path):
        assert found(*at(tmp_path))["database"]["state"] == "ok"


def test_what_cannot_be_used_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "letta.db").write_text("this is no database")
    states = found(*at(tmp_path), "--local-model", str(tmp_path / "none.gguf"), exit_code=1)
    assert {subject: one["state"] for subject, one in states.items()} == {
        "database": "failed",
        "sandbox": "ok",
        "local model": "failed",
        "mcp": "ok",
    }


def test_providers_are_told_apart_by_whether_they_have_a_key(tmp_path: Path) -> None:
    states = found(
        *at(tmp_path),
        OPENAI_API_KEY="sk-secret",
        LETTA_GRPC_PROVIDERS__MINE__BASE_URL="http://bob:sk-secret@127.0.0.1:1/v1?key=sk-secret",
    )
    assert (states["provider openai"]["state"], states["provider mine"]["state"]) == ("ok", "limited")
    assert "sk-secret" not in json.dumps(states)


def test_tools_that_are_turned_off_are_a_limit_and_not_a_failure(tmp_path: Path) -> None:
    assert found(*at(tmp_path), "--tool-sandbox", "off")["sandbox"]["state"] == "limited"


def test_serve_says_at_start_if_tools_do_not_run(tmp_path: Path) -> None:
    with serving_process(tmp_path, "--tool-sandbox", "off") as (_, process):
        process.terminate()
        process.wait(30)
    assert "tools of Python source are refused" in (tmp_path / "server.log").read_text()
    with serving_process(tmp_path) as (_, process):
        process.terminate()
        process.wait(30)
    assert (tmp_path / "server.log").read_text().count("tools of Python source") == 1
