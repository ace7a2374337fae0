"""What an operator can set: one frozen object, read from a mapping of environment variables and from nothing else."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from letta_grpc.domain.addresses import is_loopback
from letta_grpc.domain.signing import signing_key

PREFIX = "LETTA_GRPC_"
# Where the commands that call a server find it and what they show it; a server reads neither.
CLIENT_VARIABLES = frozenset({"LETTA_GRPC_TARGET", "LETTA_GRPC_TARGET_API_KEY"})
# Providers that are known by the variables of their own SDKs: prefix, and the base URL without one.
WELL_KNOWN_PROVIDERS = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com/v1/"}
_DAY_SECONDS = 86_400
# More than anybody keeps anything; times beyond it cannot be reckoned with.
_CENTURY_SECONDS = 100 * 366 * _DAY_SECONDS
_LARGEST_PORT = 65_535
# Models with these names live in the server itself.
RESERVED_PROVIDERS = frozenset({"scripted", "local"})


class SettingsError(ValueError):
    """The environment does not make settings; each line of the text names a variable."""


class Provider(BaseModel):
    """A source of models that speaks the OpenAI protocol."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    api_key: SecretStr | None = None

    @field_validator("base_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        # It is not repeated: a password may stand in it.
        if not _is_url(value):
            raise ValueError("write it as http://host:port/v1 or https://host/v1")
        return value

    @property
    def key(self) -> str | None:
        """The key in the clear; None where there is none, or an empty one."""
        return (self.api_key.get_secret_value() if self.api_key else None) or None


class Settings(BaseSettings):
    """All settings of a server. Lists are comma separated; durations and sizes say their unit in the name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True, frozen=True, extra="forbid"
    )

    listen: str = Field(
        default="127.0.0.1:50051", description="Address to serve gRPC on, `host:port`; port 0 picks a free one."
    )
    http: str | None = Field(
        default=None,
        description="Address to serve HTTP on, `host:port`; port 0 picks a free one. Without it there is no gateway.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origins whose pages may call over HTTP, comma separated, as `https://app.example`; `*` for all.",
    )
    chat_model: str = Field(
        default="scripted/echo",
        description="`provider/model` of the agent that talks on the WebSocket `/chat`, when it is made.",
    )
    database: str = Field(
        default="sqlite:///letta.db",
        repr=False,  # a password may stand in it
        description="Where everything is kept: `sqlite:///path/to/file`, or `postgresql://user@host/name` (extra `[scale]`).",
    )
    database_sync: Literal["normal", "full"] = Field(
        default="normal", description="SQLite: `normal` survives the server's death, `full` loss of power too (4 ms a commit)."
    )
    standby: bool = Field(
        default=False, description="Wait while another server has the database, and serve from it once that one has ended."
    )
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="Keys that callers may show, comma separated; required, here or in a file, where other machines can call.",
    )
    api_keys_file: Path | None = Field(
        default=None,
        description="File with further keys, one a line, `#` for comments. Changes count from the next call on.",
    )
    tls_certificate_file: Path | None = Field(
        default=None,
        description="PEM file with the certificate chain; turns TLS on. New connections get a renewed one without a restart.",
    )
    tls_key_file: Path | None = Field(
        default=None, description="PEM file with the certificate's private key, renewed together with it."
    )
    event_retention_seconds: float = Field(
        default=86_400,
        ge=0,
        le=_CENTURY_SECONDS,
        description="How long the events of a finished run are kept; runs and messages stay.",
    )
    drain_seconds: float = Field(
        default=20,
        ge=0,
        le=_DAY_SECONDS,
        description="How long runs may go on after SIGTERM; the next start goes on with the rest.",
    )
    lease_seconds: float = Field(
        default=30, ge=1, le=_DAY_SECONDS, description="How long after its last sign of life a server owns its runs."
    )
    max_message_bytes: int = Field(
        default=4 * 2**20,
        ge=2**16,
        le=2**30,
        description="The largest request that is taken; if it is raised, the largest answer too. Our clients take 64 MiB.",
    )
    max_streams: int = Field(
        default=2_000, ge=1, description="How many streams may be open at once, watches of health apart; more are refused."
    )
    providers: dict[str, Provider] = Field(
        default_factory=dict,
        description="Sources of models `<name>/…`: `__<NAME>__BASE_URL` and `__<NAME>__API_KEY`.",
    )
    embedding_model: str | None = Field(
        default=None,
        description="`provider/model` by which notes are found by what they mean; without one, by their words alone.",
    )
    local_model: Path | None = Field(
        default=None, description="GGUF file to run in this process as `local/…`; needs the extra `[local]`."
    )
    mcp_stdio: bool | None = Field(
        default=None,
        description=(
            "Whether callers may register MCP servers that are commands, run here with this server's rights. Default: only "
            "while calls need a key, without which a tool with network could register one, and no other machine can connect; "
            "behind a proxy, say `false`."
        ),
    )
    mcp_private_addresses: bool | None = Field(
        default=None,
        description=(
            "Whether callers may register MCP servers at addresses of private networks. Default: only while no other machine "
            "can connect; behind a proxy, say `false`."
        ),
    )
    image_private_addresses: bool | None = Field(
        default=None,
        description=(
            "Whether callers may name pictures at addresses of private networks. Default: only while no other machine can "
            "connect; behind a proxy, say `false`."
        ),
    )
    callback_private_addresses: bool | None = Field(
        default=None,
        description=(
            "Whether callers may be called back at addresses of private networks when their runs end. Default: only while no "
            "other machine can connect; behind a proxy, say `false`."
        ),
    )
    callback_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="Secrets, `whsec_<base64>`, comma separated, that all sign callbacks, as Standard Webhooks says.",
    )
    tool_sandbox: Literal["require", "off", "uncontained"] = Field(
        default="require",
        description="`require` runs tools of Python source only where they can be contained, `off` never, "
        "`uncontained` everywhere, with the server's own rights where nothing else is possible.",
    )
    tool_network: bool | None = Field(
        default=None,
        description=(
            "Whether tools of Python source that say `allow_network` get the server's own network, private addresses too. "
            "Default: only while no other machine can connect; behind a proxy, say `false`."
        ),
    )
    tool_memory_bytes: int = Field(
        default=512 * 2**20,
        ge=2**24,
        le=2**50,
        description="How much memory one call of a tool of Python source may take, in bytes.",
    )
    tool_cpu_seconds: int = Field(
        default=60, ge=1, le=_CENTURY_SECONDS, description="How long each process of a tool of Python source may compute."
    )
    tool_parallel_calls: int = Field(
        default=8,
        ge=1,
        description="How many calls of tools of Python source may run at once; others wait, and their timeouts with them.",
    )
    reflection: bool = Field(default=True, description="Whether tools such as grpcurl may ask for the schema.")
    channelz: bool = Field(default=False, description="Whether gRPC's channel statistics are served.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="What is logged to stderr.")
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="`auto` means `console` on a terminal, else `json`."
    )

    @property
    def anthropic(self) -> Provider:
        """What is known of Anthropic: its own address where nothing is said."""
        return self.providers.get("anthropic") or Provider(base_url=WELL_KNOWN_PROVIDERS["anthropic"])

    @property
    def is_for_this_machine_alone(self) -> bool:
        """Whether no other machine can connect."""
        return all(is_loopback(address) for address in (self.listen, self.http) if address)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - see above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - see above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - see above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing behind the caller's back: `from_env` is the way from an environment."""
        return (init_settings,)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings that `environ` means; raise SettingsError, which names every wrong variable."""
        _refuse_unknown(environ, cls)
        values = _Environ(cls, _with_well_known_providers(environ))()
        try:
            return cls(**values)
        except ValidationError as error:
            lines = (_explain(detail["loc"], detail["msg"], environ) for detail in error.errors())
            raise SettingsError("\n".join(lines)) from None

    @field_validator("listen", "http")
    @classmethod
    def _check_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or (info.field_name == "listen" and value.startswith("unix:") and value != "unix:"):
            return value
        host, _, port = value.rpartition(":")
        if not (host and "/" not in host and re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= _LARGEST_PORT):
            raise ValueError(
                f"`{value}` is no address: write host:port, as 127.0.0.1:8080, with a port from 0 to {_LARGEST_PORT}"
            )
        return value

    @field_validator("chat_model", "embedding_model")
    @classmethod
    def _check_model(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^/]+/.+", value):
            raise ValueError(f"`{value}` is no model: write provider/model, as openai/gpt-4o-mini")
        return value

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @property
    def asks_for_keys(self) -> bool:
        """Whether callers must show a key."""
        return bool(self.api_keys or self.api_keys_file)

    @field_validator("api_keys", "callback_secrets", mode="before")
    @classmethod
    def _split(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        parts = tuple(part.strip() for part in value.split(",") if part.strip())
        if not parts:
            # Without keys nobody is asked for one, without secrets nothing is signed: whoever says something means some.
            word = "key" if info.field_name == "api_keys" else "secret"
            raise ValueError(f"holds no {word}: write {word}s, comma separated, or leave it unset")
        return parts

    @field_validator("callback_secrets")
    @classmethod
    def _check_secrets(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for number, secret in enumerate(value, start=1):
            try:
                signing_key(secret.get_secret_value())
            except ValueError as error:
                raise ValueError(f"secret {number} {error}") from None
        return value

    @field_validator("api_keys")
    @classmethod
    def _check_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for number, key in enumerate(value, start=1):
            secret = key.get_secret_value()
            if not (secret.isascii() and secret.isprintable()):
                raise ValueError(f"key {number} holds more than printable ASCII: no caller can send it")
        return value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        origins = tuple(origin.strip().rstrip("/") for origin in value.split(",") if origin.strip())
        if not origins:
            raise ValueError("holds no origin: write origins, comma separated, or leave it unset")
        for origin in origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ValueError(f"`{origin}` is not an origin: give scheme and host, as `https://app.example`")
        return origins

    @field_validator("providers")
    @classmethod
    def _refuse_reserved(cls, value: dict[str, Provider]) -> dict[str, Provider]:
        for name in value.keys() & RESERVED_PROVIDERS:
            raise ValueError(f"the name `{name}` is taken by models of the server's own")
        return value

    @model_validator(mode="after")
    def _check_exposure(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError(f"{PREFIX}TLS_CERTIFICATE_FILE and {PREFIX}TLS_KEY_FILE belong together: set both or neither")
        for name, address in (("LISTEN", self.listen), ("HTTP", self.http)):
            if address and not self.asks_for_keys and not is_loopback(address):
                raise ValueError(
                    f"{PREFIX}{name}={address} lets other machines connect: set {PREFIX}API_KEYS to the keys they must show, "
                    f"or {PREFIX}API_KEYS_FILE to a file of them, or listen on 127.0.0.1"
                )
        return self


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port  # Raises for what is no port.
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


class _Environ(EnvSettingsSource):
    """pydantic-settings' reading of variables, from a mapping that is passed in place of os.environ."""

    def __init__(self, settings: type[BaseSettings], environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items() if value}


def variable_of(field: str) -> str:
    """Return the name of a field's variable."""
    return PREFIX + field.upper()


def _refuse_unknown(environ: Mapping[str, str], settings: type[Settings]) -> None:
    known = {variable_of(field) for field in settings.model_fields} - {variable_of("providers")}
    given = [name for name in environ if name.upper().startswith(PREFIX) and name not in CLIENT_VARIABLES]
    unknown = [name for name in given if name.upper() not in known and not _is_provider(name.upper())]
    if unknown:
        raise SettingsError("\n".join(_suggest(name, sorted(known)) for name in sorted(unknown)))


def _is_provider(name: str) -> bool:
    match name.removeprefix(PREFIX).lower().split("__"):
        case ["providers", str(provider), str(field)]:
            return bool(provider) and field in Provider.model_fields
        case _:
            return False


def _suggest(name: str, known: list[str]) -> str:
    if name.upper().startswith(variable_of("providers")):
        return (
            f"{name} is not known: a provider has {PREFIX}PROVIDERS__<NAME>__BASE_URL and {PREFIX}PROVIDERS__<NAME>__API_KEY"
        )
    near = difflib.get_close_matches(name.upper(), known, n=1)
    return f"{name} is not known" + (f": did you mean {near[0]}?" if near else "")


def _with_well_known_providers(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Add what the variables of the providers' own SDKs say; ours win."""
    result = {name.upper(): value for name, value in environ.items()}
    for provider, default in WELL_KNOWN_PROVIDERS.items():
        theirs, ours = provider.upper(), f"{PREFIX}PROVIDERS__{provider.upper()}__"
        key, url = environ.get(f"{theirs}_API_KEY"), environ.get(f"{theirs}_BASE_URL")
        if key or url or any(name.startswith(ours) for name in result):
            result.setdefault(f"{ours}BASE_URL", url or default)
            result.setdefault(f"{ours}API_KEY", key or "")
    return result


def _explain(location: tuple[int | str, ...], message: str, environ: Mapping[str, str]) -> str:
    text = message.removeprefix("Value error, ")
    if not location:
        return text
    name = f"{PREFIX}{'__'.join(str(part) for part in location if part != '[key]').upper()}"
    theirs = name.removeprefix(f"{PREFIX}PROVIDERS__").replace("__", "_")
    # What nobody has set under our name came under the provider's own.
    told = theirs if theirs in environ and name not in {given.upper() for given in environ} else name
    return f"{told}: {text[0].lower()}{text[1:]}"
