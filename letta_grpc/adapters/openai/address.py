"""A base URL taken apart, and the proxy of the environment that stands before it."""

import base64
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from letta_grpc.adapters.openai.faults import UnusableAddressError

_DEFAULT_PORTS = {"http": 80, "https": 443}
# What may stand in a path or query as it is.
_PLAIN = "/?&=%:@!$'()*+,;~"
_HOST_NAME = re.compile(r"[A-Za-z0-9_.-]{1,253}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to connect and what to ask for. `authorization` is what user and password in the URL make."""

    scheme: str
    host: str
    port: int
    target: str
    authorization: str | None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Take a URL apart. Raises UnusableAddressError."""
        try:
            parts = urlsplit(url)
            implied = _DEFAULT_PORTS[parts.scheme]
            port = parts.port or implied
            host = _host(parts.hostname or "")
        except (ValueError, KeyError) as error:
            raise UnusableAddressError("its base URL is not valid") from error
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(scheme=parts.scheme, host=host, port=port, target=quote(target, safe=_PLAIN), authorization=_basic(parts))

    @property
    def is_secure(self) -> bool:
        """Whether it is asked over TLS."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Host and port, as a CONNECT names them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def host_header(self) -> str:
        """The value of `Host`: without the port that the scheme implies."""
        return self.authority.removesuffix(f":{_DEFAULT_PORTS[self.scheme]}")


def find_proxy(address: Address) -> Address | None:
    """Return the proxy that the environment names for an address. Raises UnusableAddressError."""
    proxies = getproxies()
    url = proxies.get(address.scheme) or proxies.get("all")
    if not url or proxy_bypass(address.authority):
        return None
    # As curl reads it: a proxy without a scheme speaks HTTP.
    try:
        return Address.parse(url if "://" in url else f"http://{url}")
    except UnusableAddressError as error:
        raise UnusableAddressError("the proxy that the environment names speaks no HTTP") from error


def _host(name: str) -> str:
    if ":" in name:
        return str(ip_address(name))
    # Of ASCII too: resolvers refuse labels that are empty or too long by an error that is none of theirs.
    host = name.encode("idna").decode()
    if not _HOST_NAME.fullmatch(host):
        raise ValueError(name)
    return host


def _basic(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
