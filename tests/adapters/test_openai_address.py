import pytest

from letta_grpc.adapters.openai.address import Address, find_proxy
from letta_grpc.adapters.openai.faults import UnsafeHeaderError, UnusableAddressError
from letta_grpc.adapters.openai.head import RequestHead

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "where", "target", "host_header"),
    [
        ("http://a.test/v1/x", ("http", "a.test", 80), "/v1/x", "a.test"),
        ("https://a.test/v1/x", ("https", "a.test", 443), "/v1/x", "a.test"),
        ("HTTPS://A.test:8443", ("https", "a.test", 8443), "/", "a.test:8443"),
        ("http://127.0.0.1:8080/v1", ("http", "127.0.0.1", 8080), "/v1", "127.0.0.1:8080"),
        ("http://[::1]:8080/v1", ("http", "::1", 8080), "/v1", "[::1]:8080"),
        ("http://[::1]/v1", ("http", "::1", 80), "/v1", "[::1]"),
        ("http://llama_1:80/v1", ("http", "llama_1", 80), "/v1", "llama_1"),
        ("https://bücher.test/v1", ("https", "xn--bcher-kva.test", 443), "/v1", "xn--bcher-kva.test"),
        ("https://a.test/ü b?v=1&y=%20", ("https", "a.test", 443), "/%C3%BC%20b?v=1&y=%20", "a.test"),
    ],
)
def test_a_url_says_where_and_what(url: str, where: tuple[str, str, int], target: str, host_header: str) -> None:
    address = Address.parse(url)
    assert (address.scheme, address.host, address.port) == where
    assert (address.target, address.host_header) == (target, host_header)
    assert address.is_secure is (where[0] == "https")
    assert address.authorization is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.test/v1",
        "ftp://a.test/",
        "ftp://a.test:80/",
        "unix:///run/x",
        "http:///v1",
        "http://[::1/v1",
        "http://a.test:x/",
        "http://a.test:70000/",
        "http://a b/",
        "http://a..test/",
        "http://" + "a" * 300 + "/",
        "http://ü" + "a" * 100 + ".test/",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UnusableAddressError):
        Address.parse(url)


def test_line_breaks_in_a_url_break_no_line() -> None:
    assert Address.parse("http://a.test/v1\r\nX: y").target == "/v1X:%20y"


def test_user_and_password_of_a_url_authorize() -> None:
    assert Address.parse("http://ada:p%40ss@a.test/").authorization == "Basic YWRhOnBAc3M="


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "https://a.test/", None),
        ({"HTTPS_PROXY": "http://p.test:3128"}, "https://a.test/", "p.test:3128"),
        ({"https_proxy": "p.test:3128"}, "https://a.test/", "p.test:3128"),
        ({"HTTPS_PROXY": "http://p.test:3128"}, "http://a.test/", None),
        ({"HTTP_PROXY": "http://p.test:3128"}, "http://a.test/", "p.test:3128"),
        ({"ALL_PROXY": "http://p.test:3128"}, "https://a.test/", "p.test:3128"),
        ({"ALL_PROXY": "http://all.test", "HTTPS_PROXY": "http://p.test"}, "https://a.test/", "p.test:80"),
        ({"HTTPS_PROXY": "http://p.test", "NO_PROXY": "b.test,.a.test"}, "https://x.a.test/", None),
        ({"HTTPS_PROXY": "http://p.test", "NO_PROXY": "a.test:444"}, "https://a.test/", "p.test:80"),
        ({"HTTPS_PROXY": "http://p.test", "NO_PROXY": "*"}, "https://a.test/", None),
    ],
)
def test_the_environment_names_a_proxy(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, proxy: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = find_proxy(Address.parse(url))
    assert (found and found.authority) == proxy


def test_a_proxy_that_speaks_another_protocol_is_not_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://p.test:1080")
    with pytest.raises(UnusableAddressError, match="proxy"):
        find_proxy(Address.parse("https://a.test/"))


def test_a_head_says_each_header_on_a_line_of_its_own() -> None:
    head = RequestHead("/v1/x", "a.test", {"User-Agent": "me"})
    assert head.for_body(12, {"traceparent": "00-a-b-01"}) == (
        b"POST /v1/x HTTP/1.1\r\nHost: a.test\r\nUser-Agent: me\r\nContent-Length: 12\r\ntraceparent: 00-a-b-01\r\n\r\n"
    )
    assert head.for_body(0, {}).endswith(b"Content-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", "a\r\nHost: b"),
        ("x", "a\n"),
        ("x", "a\r"),
        ("x", "a\0"),
        ("x", "€"),
        ("x\r\ny", "a"),
        ("x y", "a"),
        ("x:", "a"),
        ("", "a"),
        ("Content-Length", "5"),
        ("transfer-encoding", "chunked"),
        ("HOST", "b.test"),
    ],
)
def test_a_header_that_would_say_more_than_itself_is_refused(name: str, value: str) -> None:
    with pytest.raises(UnsafeHeaderError):
        RequestHead("/", "a.test", {}).for_body(0, {name: value})
    with pytest.raises(UnsafeHeaderError):
        RequestHead("/", "a.test", {name: value})


def test_a_refused_key_is_not_repeated() -> None:
    with pytest.raises(UnsafeHeaderError, match="Authorization") as raised:
        RequestHead("/", "a.test", {"Authorization": "Bearer sk-secret\n"})
    assert "secret" not in str(raised.value)
