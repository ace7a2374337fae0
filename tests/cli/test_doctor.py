"""What would work on this machine."""

import json
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.server_process import letta_grpc, serving_process


def found(*flags: str, exit_code: int = 0, **environ: str) -> dict[str, dict[str, Any]]:
    result = letta_grpc("doctor", "--json", *flags, **environ)  # type: ignore[arg-type]  # none of them is `timeout`
    assert result.returncode == exit_code, result.stdout + result.stderr
    return {one["subject"]: one for one in json.loads(result.stdout)}


def at(folder: Path) -> tuple[str, ...]:
    return "--listen", "127.0.0.1:0", "--database", f"sqlite:///{folder / 'letta.db'}"


def test_a_machine_on_which_all_is_well_is_told_so_and_left_as_it_was(tmp_path: Path) -> None:
    result = letta_grpc("doctor", *at(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    subjects = [line.split()[0] for line in result.stdout.splitlines()]
    assert subjects == ["SUBJECT", "database", "listen", "sandbox", "mcp"]
    assert "contained, network allowed" in result.stdout
    assert "child processes not allowed, private addresses allowed" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_server_at_work_does_not_disturb_it(tmp_path: Path) -> None:
    with serving_process(tmp_path):
        database = found(*at(tmp_path))["database"]
    assert database["state"] == "ok"
    assert "in use by another server" in database["detail"]
    assert "in use" not in found(*at(tmp_path))["database"]["detail"]


def test_a_database_that_was_removed_is_not_made_by_looking(tmp_path: Path) -> None:
    (tmp_path / "letta.db.lock").touch()
    assert "set up at the first start" in found(*at(tmp_path))["database"]["detail"]
    assert [path.name for path in tmp_path.iterdir()] == ["letta.db.lock"]


def test_what_cannot_be_used_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "letta.db").write_text("this is no database")
    states = found(*at(tmp_path), "--local-model", str(tmp_path / "none.gguf"), exit_code=1)
    assert {subject: one["state"] for subject, one in states.items()} == {
        "database": "failed",
        "listen": "ok",
        "sandbox": "ok",
        "local model": "failed",
        "mcp": "ok",
    }


def test_a_database_that_no_server_starts_on_is_a_failure(tmp_path: Path) -> None:
    def told() -> str:
        database = found(*at(tmp_path / "folder"), exit_code=1)["database"]
        assert database["state"] == "failed"
        return str(database["detail"])

    assert "there is no folder" in told()
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "letta.db"
    with closing(sqlite3.connect(path)) as foreign, foreign:
        foreign.execute("CREATE TABLE theirs (x)")
    assert "belongs to another program" in told()
    path.unlink()
    assert letta_grpc("migrate", "--database", f"sqlite:///{path}").returncode == 0
    with closing(sqlite3.connect(path)) as newer, newer:
        newer.execute("UPDATE alembic_version SET version_num = 'from_tomorrow'")
    assert "schema from_tomorrow is unknown" in told()


def test_a_damaged_database_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "letta.db"
    assert letta_grpc("migrate", "--database", f"sqlite:///{path}").returncode == 0
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'runs'").fetchone()
        (page,) = database.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * page)
        file.write(b"\xff" * page)
    assert found(*at(tmp_path), exit_code=1)["database"]["state"] == "failed"


def test_what_serve_would_refuse_is_a_failure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        states = found(
            *at(tmp_path),
            *("--listen", address, "--http", address, "--embedding-model", "nobody/x"),
            *("--tls-certificate-file", str(tmp_path / "none.pem"), "--tls-key-file", str(tmp_path / "none.pem")),
            *("--api-keys-file", str(tmp_path / "none")),
            exit_code=1,
        )
    failed = {subject for subject, one in states.items() if one["state"] == "failed"}
    assert failed == {"listen", "http", "tls", "api keys", "embeddings"}
    assert states["listen"]["detail"] == f"cannot listen on {address}: Address already in use"


def test_providers_are_told_apart_by_whether_they_have_a_key(tmp_path: Path) -> None:
    states = found(
        *at(tmp_path),
        OPENAI_API_KEY="sk-secret",
        LETTA_GRPC_PROVIDERS__THEIRS__BASE_URL="https://bob:sk-secret@models.example/v1?key=sk-secret",
    )
    assert (states["provider openai"]["state"], states["provider theirs"]["state"]) == ("ok", "limited")
    assert "sk-secret" not in json.dumps(states)


def test_a_provider_of_ones_own_needs_no_key(tmp_path: Path) -> None:
    states = found(*at(tmp_path), LETTA_GRPC_PROVIDERS__OLLAMA__BASE_URL="http://localhost:11434/v1")
    assert (
        states["provider ollama"] | {"state": "ok", "detail": "http://localhost:11434/v1, without a key"}
        == states["provider ollama"]
    )


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
