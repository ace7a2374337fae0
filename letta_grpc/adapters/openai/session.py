"""One connection pool per provider."""

import aiohttp

from letta_grpc.adapters.openai.endpoint import OpenAIEndpoint

# Longer than aiohttp's 15 s: people think between two messages, and a TLS handshake costs more than an idle socket.
_KEEP_ALIVE_SECONDS = 60.0


class Session:
    """An aiohttp session that is made on first use, because it belongs to the event loop that runs then."""

    def __init__(self, endpoint: OpenAIEndpoint) -> None:
        self._endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None

    def get(self) -> aiohttp.ClientSession:
        """Return the session."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._endpoint.connect_timeout_seconds),
                # Proxies of the environment; looked up anew for each call, so not where there can be none.
                trust_env=not self._endpoint.is_loopback,
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _headers(self) -> dict[str, str]:
        headers = {
            "Accept": "text/event-stream, application/json",
            # A proxy that compresses holds tokens back until it has enough of them.
            "Accept-Encoding": "identity",
            "User-Agent": "letta-grpc",
        }
        if self._endpoint.api_key:
            headers["Authorization"] = f"Bearer {self._endpoint.api_key}"
        return headers
