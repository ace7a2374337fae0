import pytest

from letta_grpc.domain.addresses import is_loopback, is_private, is_private_host


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104 - as an address to refuse
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
    ],
)
def test_what_the_whole_internet_does_not_reach_is_private(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_what_it_does_reach_is_not(address: str) -> None:
    assert not is_private(address)


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "10.1.2.3", "fe80::1%eth0"])
def test_a_host_is_private_by_its_looks(host: str) -> None:
    assert is_private_host(host)


@pytest.mark.parametrize("host", ["1.1.1.1", "localhost.example", "intranet", ""])
def test_what_other_names_mean_is_not_seen(host: str) -> None:
    assert not is_private_host(host)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.0.0.2:1", "[::1]:50051", "localhost:50051", "unix:/run/letta.sock"])
def test_what_only_this_machine_reaches_is_loopback(listen: str) -> None:
    assert is_loopback(listen)


@pytest.mark.parametrize("listen", ["0.0.0.0:50051", "[::]:50051", "192.0.2.1:1", "host.example:1"])
def test_what_other_machines_reach_is_not(listen: str) -> None:
    assert not is_loopback(listen)
