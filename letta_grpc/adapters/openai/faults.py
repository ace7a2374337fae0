"""What can go wrong below a chat completion.

HttpError                  the exchange with the server failed
├── UnusableAddressError   the base URL, or the environment's proxy, is none that can be asked
├── UnsafeHeaderError      a header would break out of its line
├── ConnectTimeoutError    no connection in time
├── ProxyRefusedError      the proxy in between opens no tunnel
├── NotHttpError           what came is not HTTP/1.1, or a head without an end
├── SilenceError           nothing came for too long
└── DisconnectedError      the connection ended before the response did
    └── StaleError         a used one, before anything came: the server had given it up, and may be asked anew

Whatever the system says of sockets, names and certificates stays the OSError that it is.
"""


class HttpError(Exception):
    """The exchange with the server failed."""


class UnusableAddressError(HttpError):
    """Nobody can be asked at this address."""


class UnsafeHeaderError(HttpError):
    """A header is none that may be sent."""


class ConnectTimeoutError(HttpError):
    """No connection in time."""


class ProxyRefusedError(HttpError):
    """The proxy opens no tunnel."""


class NotHttpError(HttpError):
    """What came is not HTTP."""


class SilenceError(HttpError):
    """Nothing came for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"nothing came for {seconds:g} seconds")
        self.seconds = seconds


class DisconnectedError(HttpError):
    """The connection ended before the response did."""


class StaleError(DisconnectedError):
    """A connection that had been used before ended before anything came."""
