import subprocess
import sys


def test_without_the_servers_packages_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['typer'] = None; from letta_grpc.__main__ import main; main()"
    told = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert told.returncode == 1
    assert "pip install 'letta-grpc[server]'" in told.stderr
    assert "Traceback" not in told.stderr
