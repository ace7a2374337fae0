import pytest
from pydantic import ValidationError

from letta_grpc.app.parts import gives_tools_network, mcp_policy_of
from letta_grpc.settings import CLIENT_VARIABLES, Settings, SettingsError, variable_of
from tests.requirements.registry import requirement


def refusal(**environ: str) -> str:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env(environ)
    return str(refused.value)


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = Settings.from_env({})
    assert settings.listen == "127.0.0.1:50051"
    assert settings.database == "sqlite:///letta.db"
    assert settings.providers == {}


def test_nothing_is_read_but_the_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETTA_GRPC_LISTEN", "127.0.0.1:1")
    assert Settings.from_env({}).listen == "127.0.0.1:50051"
    assert Settings().listen == "127.0.0.1:50051"


def test_settings_do_not_change() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.listen = "127.0.0.1:1"


def test_every_field_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_an_unknown_name_is_an_error_with_a_suggestion() -> None:
    assert refusal(LETTA_GRPC_LISTN="127.0.0.1:1") == "LETTA_GRPC_LISTN is not known: did you mean LETTA_GRPC_LISTEN?"
    assert refusal(LETTA_GRPC_API_KEY="k") == "LETTA_GRPC_API_KEY is not known: did you mean LETTA_GRPC_API_KEYS?"


def test_http_that_other_machines_reach_wants_keys_as_grpc_does() -> None:
    assert refusal(LETTA_GRPC_HTTP="0.0.0.0:8283").startswith("LETTA_GRPC_HTTP=0.0.0.0:8283 lets other machines connect")
    assert Settings.from_env({"LETTA_GRPC_HTTP": "0.0.0.0:8283", "LETTA_GRPC_API_KEYS": "k"}).http == "0.0.0.0:8283"
    assert Settings.from_env({"LETTA_GRPC_HTTP": "127.0.0.1:0"}).http == "127.0.0.1:0"


def test_cors_origins_are_a_comma_list_of_origins() -> None:
    settings = Settings.from_env({"LETTA_GRPC_CORS_ORIGINS": "https://a.example/, http://localhost:3000"})
    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")
    assert "is not an origin" in refusal(LETTA_GRPC_CORS_ORIGINS="a.example")
    for none in (",", " ", " , ,"):
        text = refusal(LETTA_GRPC_CORS_ORIGINS=none)
        assert text == "LETTA_GRPC_CORS_ORIGINS: holds no origin: write origins, comma separated, or leave it unset"


def test_every_wrong_variable_is_named_at_once() -> None:
    text = refusal(LETTA_GRPC_DRAIN_SECONDS="soon", LETTA_GRPC_DATABASE_SYNC="maybe")
    assert [line.partition(":")[0] for line in text.splitlines()] == ["LETTA_GRPC_DATABASE_SYNC", "LETTA_GRPC_DRAIN_SECONDS"]


def test_variables_of_the_commands_that_call_a_server_are_left_alone() -> None:
    assert Settings.from_env(dict.fromkeys(CLIENT_VARIABLES, "x")) == Settings()


def test_an_empty_variable_is_an_unset_one() -> None:
    assert Settings.from_env({"LETTA_GRPC_MAX_STREAMS": ""}) == Settings()


def test_api_keys_are_a_comma_list_and_stay_out_of_prints() -> None:
    settings = Settings.from_env({"LETTA_GRPC_API_KEYS": "first, second,"})
    assert [key.get_secret_value() for key in settings.api_keys] == ["first", "second"]
    assert "first" not in repr(settings)


def test_a_password_in_the_databases_url_stays_out_of_prints() -> None:
    settings = Settings.from_env({"LETTA_GRPC_DATABASE": "postgresql://ada:s3cret@db.example/letta"})
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize("keys", [",", " ", " , ,"])
@pytest.mark.parametrize("listen", ["127.0.0.1:0", "0.0.0.0:50051"])
def test_api_keys_that_are_none_are_not_taken_for_a_door_that_is_meant_to_be_open(keys: str, listen: str) -> None:
    text = refusal(LETTA_GRPC_API_KEYS=keys, LETTA_GRPC_LISTEN=listen)
    assert text == "LETTA_GRPC_API_KEYS: holds no key: write keys, comma separated, or leave it unset"


@pytest.mark.parametrize("key", ["schlüssel", "tab\tkey", "first\nsecond"])
def test_a_key_that_no_caller_can_send_is_refused_and_not_told(key: str) -> None:
    text = refusal(LETTA_GRPC_API_KEYS=f"fine,{key}")
    assert text == "LETTA_GRPC_API_KEYS: key 2 holds more than printable ASCII: no caller can send it"


@pytest.mark.parametrize(
    "secret", ["whsec_", "whsec_c2hvcnQ=", "whsec_" + "no base64" * 4, "TWZLUTlyOEdLWXFyVHdqVVBEOElMUFpJ"]
)
def test_a_secret_that_cannot_sign_is_refused_and_not_told(secret: str) -> None:
    text = refusal(LETTA_GRPC_CALLBACK_SECRETS=f"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,{secret}")
    assert text == "LETTA_GRPC_CALLBACK_SECRETS: secret 2 is not `whsec_` with base64 of 24 to 64 bytes behind it"


def test_secrets_that_are_none_are_not_taken_for_callbacks_that_are_meant_to_be_unsigned() -> None:
    text = refusal(LETTA_GRPC_CALLBACK_SECRETS=" ,")
    assert text == "LETTA_GRPC_CALLBACK_SECRETS: holds no secret: write secrets, comma separated, or leave it unset"


def test_secrets_stay_out_of_prints() -> None:
    settings = Settings.from_env({"LETTA_GRPC_CALLBACK_SECRETS": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
    assert len(settings.callback_secrets) == 1
    assert "MfKQ9r8" not in f"{settings!r}{settings.model_dump()}"


@requirement("weakness_open_door")
@pytest.mark.parametrize("listen", ["0.0.0.0:50051", "[::]:50051", "192.0.2.1:1", "host.example:1"])
def test_an_address_beyond_loopback_needs_api_keys(listen: str) -> None:
    assert "LETTA_GRPC_API_KEYS" in refusal(LETTA_GRPC_LISTEN=listen)
    for name in ("LETTA_GRPC_API_KEYS", "LETTA_GRPC_API_KEYS_FILE"):
        assert Settings.from_env({"LETTA_GRPC_LISTEN": listen, name: "k"}).listen == listen


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.0.0.2:1", "[::1]:50051", "localhost:50051", "unix:/run/letta.sock"])
def test_loopback_needs_none(listen: str) -> None:
    assert Settings.from_env({"LETTA_GRPC_LISTEN": listen}).listen == listen


def test_an_address_without_a_port_is_refused() -> None:
    assert refusal(LETTA_GRPC_LISTEN="127.0.0.1").startswith("LETTA_GRPC_LISTEN: ")


def test_certificate_and_key_belong_together() -> None:
    assert "set both or neither" in refusal(LETTA_GRPC_TLS_KEY_FILE="key.pem")


def test_the_providers_own_variables_make_providers() -> None:
    settings = Settings.from_env({"OPENAI_API_KEY": "o", "ANTHROPIC_BASE_URL": "http://proxy/v1"})
    openai, anthropic = settings.providers["openai"], settings.providers["anthropic"]
    assert openai.base_url == "https://api.openai.com/v1"
    assert openai.api_key is not None
    assert openai.api_key.get_secret_value() == "o"
    assert (anthropic.base_url, anthropic.api_key) == ("http://proxy/v1", None)


def test_what_is_wrong_with_a_providers_own_variable_is_told_by_that_name() -> None:
    assert refusal(OPENAI_BASE_URL="localhost:11434/v1").startswith("OPENAI_BASE_URL: ")
    assert refusal(LETTA_GRPC_PROVIDERS__OPENAI__BASE_URL="x").startswith("LETTA_GRPC_PROVIDERS__OPENAI__BASE_URL: ")


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://127.0.0.1/v1", "http://", "http://[::1/v1", "http://127.0.0.1:99999/v1"]
)
def test_a_provider_needs_a_url_that_can_be_called(url: str) -> None:
    told = refusal(LETTA_GRPC_PROVIDERS__VLLM__BASE_URL=url)
    assert told == "LETTA_GRPC_PROVIDERS__VLLM__BASE_URL: write it as http://host:port/v1 or https://host/v1"


@pytest.mark.parametrize("name", ["CHAT_MODEL", "EMBEDDING_MODEL"])
@pytest.mark.parametrize("handle", ["gpt-4o-mini", "/gpt-4o-mini", "openai/"])
def test_a_model_is_named_with_its_provider(name: str, handle: str) -> None:
    told = refusal(**{f"LETTA_GRPC_{name}": handle})
    assert told == f"LETTA_GRPC_{name}: `{handle}` is no model: write provider/model, as openai/gpt-4o-mini"


def test_any_provider_has_a_url_and_perhaps_a_key() -> None:
    settings = Settings.from_env({"LETTA_GRPC_PROVIDERS__MY_VLLM__BASE_URL": "http://127.0.0.1:8000/v1"})
    assert settings.providers["my_vllm"].base_url == "http://127.0.0.1:8000/v1"
    assert "BASE_URL: field required" in refusal(LETTA_GRPC_PROVIDERS__GROQ__API_KEY="k")
    assert "a provider has" in refusal(LETTA_GRPC_PROVIDERS__GROQ__KEY="k")


def test_our_name_of_a_well_known_provider_wins_over_its_own() -> None:
    environ = {"OPENAI_API_KEY": "theirs", f"{variable_of('providers')}__OPENAI__API_KEY": "ours"}
    key = Settings.from_env(environ).providers["openai"].api_key
    assert key is not None
    assert key.get_secret_value() == "ours"


@pytest.mark.parametrize("name", ["SCRIPTED", "LOCAL"])
def test_the_names_of_the_servers_own_models_are_taken(name: str) -> None:
    environ = {f"LETTA_GRPC_PROVIDERS__{name}__BASE_URL": "http://127.0.0.1:1"}
    assert "is taken" in refusal(**environ)


@pytest.mark.parametrize(
    ("environ", "alone"),
    [
        ({}, True),
        ({"LETTA_GRPC_HTTP": "127.0.0.1:80"}, True),
        ({"LETTA_GRPC_HTTP": "0.0.0.0:80", "LETTA_GRPC_API_KEYS": "k"}, False),
        ({"LETTA_GRPC_LISTEN": "0.0.0.0:1", "LETTA_GRPC_API_KEYS": "k"}, False),
    ],
)
def test_what_other_machines_may_not_ask_for_depends_on_whether_they_can(environ: dict[str, str], alone: bool) -> None:  # noqa: FBT001 - an expected value
    assert Settings.from_env(environ).is_for_this_machine_alone is alone


@pytest.mark.parametrize(
    ("environ", "allowed"),
    [
        ({}, False),
        ({"LETTA_GRPC_MCP_STDIO": "true"}, True),
        ({"LETTA_GRPC_API_KEYS": "k"}, True),
        ({"LETTA_GRPC_API_KEYS_FILE": "keys"}, True),
        ({"LETTA_GRPC_API_KEYS": "k", "LETTA_GRPC_MCP_STDIO": "false"}, False),
        ({"LETTA_GRPC_API_KEYS": "k", "LETTA_GRPC_LISTEN": "0.0.0.0:1"}, False),
    ],
)
def test_commands_are_started_for_callers_with_a_key_on_this_machine_or_where_it_is_said(
    environ: dict[str, str],
    allowed: bool,  # noqa: FBT001 - an expected value
) -> None:
    assert mcp_policy_of(Settings.from_env(environ)).allow_stdio is allowed


@pytest.mark.parametrize(
    ("environ", "given"),
    [
        ({}, True),
        ({"LETTA_GRPC_TOOL_NETWORK": "false"}, False),
        ({"LETTA_GRPC_API_KEYS": "k", "LETTA_GRPC_LISTEN": "0.0.0.0:1"}, False),
        ({"LETTA_GRPC_API_KEYS": "k", "LETTA_GRPC_LISTEN": "0.0.0.0:1", "LETTA_GRPC_TOOL_NETWORK": "true"}, True),
    ],
)
def test_tools_have_network_while_no_other_machine_can_connect_or_where_it_is_said(
    environ: dict[str, str],
    given: bool,  # noqa: FBT001 - an expected value
) -> None:
    assert gives_tools_network(Settings.from_env(environ)) is given


@pytest.mark.parametrize(
    "address", ["127.0.0.1:65536", "127.0.0.1:99999", "127.0.0.1:", "127.0.0.1", ":1", "x:²", "http://127.0.0.1:1"]
)
@pytest.mark.parametrize("name", ["LETTA_GRPC_LISTEN", "LETTA_GRPC_HTTP"])
def test_an_address_that_is_none_is_told_what_one_looks_like(name: str, address: str) -> None:
    text = refusal(**{name: address})
    assert text.startswith(f"{name}: `{address}` is no address: write host:port")
    assert "from 0 to 65535" in text


@pytest.mark.parametrize("seconds", ["inf", "nan", "1e300"])
@pytest.mark.parametrize("name", ["EVENT_RETENTION_SECONDS", "LEASE_SECONDS", "DRAIN_SECONDS"])
def test_times_are_such_as_can_be_reckoned_with(name: str, seconds: str) -> None:
    assert refusal(**{f"LETTA_GRPC_{name}": seconds}).startswith(f"LETTA_GRPC_{name}: ")


@pytest.mark.parametrize("name", ["TOOL_MEMORY_BYTES", "TOOL_CPU_SECONDS"])
def test_limits_of_tools_are_such_as_a_system_can_set(name: str) -> None:
    # With one that it cannot, each tool would end with a number that tells nobody anything.
    assert refusal(**{f"LETTA_GRPC_{name}": str(10**20)}).startswith(f"LETTA_GRPC_{name}: ")


def test_words_that_choose_are_read_in_any_case() -> None:
    settings = Settings.from_env({"LETTA_GRPC_LOG_LEVEL": "INFO", "LETTA_GRPC_LOG_FORMAT": "JSON"})
    assert (settings.log_level, settings.log_format) == ("info", "json")
