"""Where an OpenAI-compatible endpoint is."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit, urlunsplit

# Hosts that answer nobody without a key: a call without one need not be tried.
_HOSTS_THAT_WANT_A_KEY = frozenset(
    {
        "api.openai.com",
        "api.anthropic.com",
        "api.deepseek.com",
        "api.groq.com",
        "api.mistral.ai",
        "generativelanguage.googleapis.com",
        "openrouter.ai",
    }
)

# Shorter keys, as "k" or "-", are placeholders, and stand in many a word: they are not masked.
_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIEndpoint:
    """A provider's address and key.

    `key_variable` is the environment variable that an operator sets the key by; messages name it. `first_byte_timeout_seconds`
    bounds the wait for the beginning of an answer, `idle_timeout_seconds` each wait for more of it; an answer as a whole may
    take any time.
    """

    name: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    key_variable: str | None = None
    connect_timeout_seconds: float = 10.0
    first_byte_timeout_seconds: float = 300.0
    idle_timeout_seconds: float = 120.0

    @property
    def public_url(self) -> str:
        """The base URL as it may be told."""
        return public_url(self.base_url)

    def told(self, text: str) -> str:
        """Return what somebody else wrote, without the key and the password if it repeats them."""
        for secret in (self.api_key, self._password):
            if secret and len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text

    def url(self, path: str) -> str:
        """Return the address of a path under the base URL, whose query stays behind it: Azure's has one."""
        before, mark, query = self.base_url.partition("#")[0].partition("?")
        return f"{before.rstrip('/')}/{path}{mark}{query}"

    @property
    def lacks_key(self) -> bool:
        """Whether calls are bound to fail for want of a key."""
        return not self.api_key and self._host in _HOSTS_THAT_WANT_A_KEY

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine, where no proxy is in between."""
        try:
            return self._host == "localhost" or ip_address(self._host).is_loopback
        except ValueError:
            return False

    @property
    def _password(self) -> str | None:
        try:
            return unquote(urlsplit(self.base_url).password or "")
        except ValueError:
            return None

    @property
    def _host(self) -> str:
        return urlsplit(self.base_url).hostname or ""


def public_url(url: str) -> str:
    """Return a URL without user, password and query: keys stand there. Nothing is told of a text that is no URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
