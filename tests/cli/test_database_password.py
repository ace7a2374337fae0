"""The password of a database: in no output and no log, whatever happens to the database."""

import threading
from pathlib import Path

from letta_grpc.client import Client, LettaError
from tests.support.postgres import PostgresServer
from tests.support.server_process import letta_grpc, serving_process


def test_it_is_told_by_no_command_and_no_log(postgres: PostgresServer, postgres_url: str, tmp_path: Path) -> None:
    url = postgres_url.replace("letta@", "letta:s3cret%40@") + "?sslpassword=s3cret"
    told = postgres_url.replace("letta@", "letta:***@")
    migrated = letta_grpc("migrate", LETTA_GRPC_DATABASE=url)
    assert migrated.stdout == f"{told} is up to date\n"
    everything = [migrated.stdout + migrated.stderr]
    with serving_process(tmp_path, "--log-level", "debug", "--database", url) as (address, process), Client(address) as client:
        client.agents.create(model="scripted/echo")
        second = letta_grpc("serve", "--listen", "127.0.0.1:0", LETTA_GRPC_DATABASE=url)
        looked = letta_grpc("doctor", LETTA_GRPC_DATABASE=url)
        assert "(DATABASE_IN_USE)" in second.stderr
        assert told in looked.stdout
        everything += [second.stderr, looked.stdout, looked.stderr]
        postgres.kill()
        try:
            away = letta_grpc("serve", "--listen", "127.0.0.1:0", LETTA_GRPC_DATABASE=url)
            everything += [away.stderr]
            try:
                client.agents.create(model="scripted/echo")
            except LettaError as error:
                everything += [str(error)]
        finally:
            postgres.start()
        assert process.stdout is not None
        listening = threading.Timer(30, process.kill)
        listening.start()
        assert process.stdout.readline().startswith("listening ")
        listening.cancel()
    log = (tmp_path / "server.log").read_text()
    assert told in log
    assert "s3cret" not in "".join([*everything, log])
