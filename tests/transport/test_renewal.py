"""The certificate in service: when another takes its place, and when it stays."""

import asyncio
import logging
import os
import resource
import shutil
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from letta_grpc.transport import renewal
from letta_grpc.transport.certificates import RenewableTls
from letta_grpc.transport.methods import Call, Response
from letta_grpc.transport.renewal import UnusableFileError
from letta_grpc.transport.server import ServerOptions
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub
from tests.support.certificates import FIRST, ROOTS, SECOND, Installed, Pair, shown
from tests.support.wires import lone_calls, serving

pytestmark = pytest.mark.timeout(30)
SECONDS = 20


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


@pytest.fixture
def tls(installed: Installed) -> RenewableTls:
    return RenewableTls(installed.certificate, installed.key)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, renewal.logger.name)
    return caplog


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(renewal, "monotonic", clock)
    return clock


def in_service(tls: RenewableTls) -> Pair:
    """Return the pair that the next handshake is made with. Raises KeyError for half of one and half of the other."""
    now = tls.now()
    return {(one.certificate.read_bytes(), one.key.read_bytes()): one for one in (FIRST, SECOND)}[now.certificate, now.key]


# On a socket


async def test_a_renewed_certificate_is_for_new_connections_and_cuts_no_stream(
    tls: RenewableTls, installed: Installed
) -> None:
    renewed = asyncio.Event()

    async def before_and_after(_request: pb.AttachRunRequest, _call: Call) -> AsyncGenerator[Response, None]:
        yield Response(pb.AttachRunResponse(run_id="before").SerializeToString(), 1)
        await renewed.wait()
        yield Response(pb.AttachRunResponse(run_id="after").SerializeToString(), 1)

    options = ServerOptions(listen=("127.0.0.1:0",), tls=tls)
    async with (
        asyncio.timeout(SECONDS),
        serving(lone_calls(stream=before_and_after), options) as (_, address),
        grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ROOTS)) as channel,
    ):
        stub = RunServiceStub(channel)
        stream = stub.AttachRun(pb.AttachRunRequest())
        assert await stream.read() == pb.AttachRunResponse(run_id="before")
        assert await asyncio.to_thread(shown, address) == FIRST
        installed.install(SECOND)
        assert await asyncio.to_thread(shown, address) == SECOND
        renewed.set()
        assert await stream.read() == pb.AttachRunResponse(run_id="after")
        assert await stub.AttachRun(pb.AttachRunRequest()).read() == pb.AttachRunResponse(run_id="before")


async def test_a_pair_that_does_not_fit_is_shown_to_nobody(tls: RenewableTls, installed: Installed) -> None:
    options = ServerOptions(listen=("127.0.0.1:0",), tls=tls)
    async with asyncio.timeout(SECONDS), serving(lone_calls(), options) as (_, address):
        installed.install_certificate(SECOND.certificate.read_bytes())
        assert [await asyncio.to_thread(shown, address) for _ in range(3)] == [FIRST] * 3
        installed.install_key(SECOND.key.read_bytes())
        assert await asyncio.to_thread(shown, address) == SECOND


async def test_all_who_connect_amid_renewals_get_through(tls: RenewableTls, installed: Installed) -> None:
    options = ServerOptions(listen=("127.0.0.1:0",), tls=tls)
    async with asyncio.timeout(SECONDS), serving(lone_calls(), options) as (_, address):
        for pair in (SECOND, FIRST) * 5:
            async with asyncio.TaskGroup() as group:
                for _ in range(4):
                    group.create_task(asyncio.to_thread(shown, address))
                installed.install(pair)
        assert await asyncio.to_thread(shown, address) == FIRST


# Files


def test_a_renewed_pair_is_told_of_once_and_another_one_again(
    tls: RenewableTls, installed: Installed, logged: pytest.LogCaptureFixture
) -> None:
    for pair in (SECOND, FIRST):
        installed.install(pair)
        assert [in_service(tls) for _ in range(3)] == [pair] * 3
    assert logged.messages == ["a renewed certificate is in service"] * 2


def test_files_that_hold_nothing_new_change_nothing(
    tls: RenewableTls, installed: Installed, logged: pytest.LogCaptureFixture
) -> None:
    before = tls.now()
    os.utime(installed.key, (1, 1))
    assert tls.now() is before
    installed.install(FIRST)
    assert tls.now() is before
    assert logged.records == []


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    mounted = Mounted(tmp_path)
    tls = RenewableTls(mounted.certificate, mounted.key)
    mounted.lead_to(SECOND)
    assert in_service(tls) == SECOND
    assert [record.levelname for record in logged.records] == ["INFO"]


def test_what_is_swapped_at_once_is_never_taken_by_halves(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    mounted = Mounted(tmp_path)
    tls = RenewableTls(mounted.certificate, mounted.key)

    def swap() -> None:
        for pair in (SECOND, FIRST) * 200:
            mounted.lead_to(pair)

    with ThreadPoolExecutor(1) as other:
        swapping = other.submit(swap)
        while not swapping.done():
            in_service(tls)
        swapping.result()
    assert in_service(tls) == FIRST
    assert [record for record in logged.records if record.levelname != "INFO"] == []


class Mounted:
    """A secret as Kubernetes mounts it: a link to a folder with a pair, and later to another folder."""

    def __init__(self, folder: Path) -> None:
        self._link = folder / "mounted"
        self._folders = 0
        self.certificate, self.key = self._link / "chain.pem", self._link / "key.pem"
        self.lead_to(FIRST)

    def lead_to(self, pair: Pair) -> None:
        self._folders += 1
        folder = self._link.with_name(str(self._folders))
        folder.mkdir()
        shutil.copy(pair.certificate, folder / "chain.pem")
        shutil.copy(pair.key, folder / "key.pem")
        new = self._link.with_name("new")
        new.symlink_to(folder)
        new.replace(self._link)


# A pair that is none


def half(file: Path) -> bytes:
    content = file.read_bytes()
    return content[: len(content) // 2]


NO_CERTIFICATE = "{chain} holds no certificate in PEM"
NO_KEY = "{key} holds no private key in PEM, or one with a passphrase"
OTHER_KEY = "the key in {key} does not belong to the certificate in {chain}"
MISSING = "cannot read the TLS files: No such file or directory: {key}"


@pytest.mark.parametrize(
    ("files", "wrong"),
    [
        ((half(SECOND.certificate), SECOND.key.read_bytes()), NO_CERTIFICATE),
        ((FIRST.certificate.read_bytes() + half(SECOND.certificate), FIRST.key.read_bytes()), NO_CERTIFICATE),
        ((SECOND.certificate.read_bytes(), half(SECOND.key)), NO_KEY),
        ((SECOND.certificate.read_bytes(), FIRST.key.read_bytes()), OTHER_KEY),
        ((FIRST.certificate.read_bytes(), SECOND.key.read_bytes()), OTHER_KEY),
        ((SECOND.certificate.read_bytes(), None), MISSING),
    ],
    ids=["half a certificate", "half a chain", "half a key", "new chain first", "new key first", "no key"],
)
def test_files_that_make_no_pair_are_told_of_once_and_taken_when_they_make_one(
    installed: Installed, logged: pytest.LogCaptureFixture, clock: Clock, files: tuple[bytes, bytes | None], wrong: str
) -> None:
    tls = RenewableTls(installed.certificate, installed.key)
    chain, key = files
    installed.install_certificate(chain)
    installed.key.unlink() if key is None else installed.install_key(key)
    for _ in range(5):
        assert in_service(tls) == FIRST
        clock.seconds += 0.5
    told = wrong.format(chain=installed.certificate, key=installed.key)
    assert logged.messages == [f"the certificate in service stays: {told}"]
    assert logged.records[0].levelname == "WARNING"
    installed.install(SECOND)
    assert in_service(tls) == SECOND


def test_the_same_damage_after_a_renewal_is_told_of_again(
    tls: RenewableTls, installed: Installed, logged: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        installed.install_key(b"")
        in_service(tls)
        installed.install(FIRST)
        in_service(tls)
    assert [record.levelname for record in logged.records] == ["WARNING"] * 2


def test_what_could_not_be_read_is_read_a_second_later_though_the_files_are_the_same(
    tls: RenewableTls, installed: Installed, logged: pytest.LogCaptureFixture, clock: Clock
) -> None:
    before = tls.now()
    installed.install(SECOND)
    with no_descriptors():
        now = tls.now()
    assert now is before
    assert logged.messages == [
        f"the certificate in service stays: cannot read the TLS files: Too many open files: {installed.certificate}"
    ]
    clock.seconds += 0.9
    assert in_service(tls) == FIRST
    clock.seconds += 0.2
    assert in_service(tls) == SECOND


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let nobody in this process open anything."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_pair_that_does_not_fit_is_refused_at_the_start(installed: Installed) -> None:
    installed.install_key(SECOND.key.read_bytes())
    with pytest.raises(UnusableFileError, match="does not belong to"):
        RenewableTls(installed.certificate, installed.key)


def test_a_pipe_in_a_certificates_place_is_refused_and_not_waited_for(installed: Installed) -> None:
    installed.certificate.unlink()
    os.mkfifo(installed.certificate)
    with pytest.raises(UnusableFileError, match=f"^{installed.certificate} is not a file$"):
        RenewableTls(installed.certificate, installed.key)
