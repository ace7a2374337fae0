"""Which database a URL means, and what is told of it: never a password, wherever in the URL it stands."""

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from letta_grpc.adapters.sql.backends import backend_of
from letta_grpc.adapters.sql.failures import DatabaseUnusableError, is_clear, without_password


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://ada@db.example/letta", "postgresql://ada@db.example/letta"),
        ("postgresql://ada:s3cret@db.example/letta", "postgresql://ada:***@db.example/letta"),
        ("postgresql://ada:s3:cr?et#@db.example/letta", "postgresql://ada:***@db.example/letta"),
        ("postgresql://ada:s3%40cr%2Fet@db.example/letta", "postgresql://ada:***@db.example/letta"),
        ("postgresql://ada:s3cret@one:5432,[::1]:5433/letta", "postgresql://ada:***@one:5432,[::1]:5433/letta"),
        ("postgresql+asyncpg://ada:s3\ncret@db.example/letta", "postgresql+asyncpg://ada:***@db.example/letta"),
        ("postgresql:///letta?host=/run/postgresql&port=5433", "postgresql:///letta?host=/run/postgresql&port=5433"),
        ("postgresql://db.example/letta?password=s3cret&user=ada", "postgresql://db.example/letta?user=ada"),
        ("postgresql://db.example/letta?p%61ssword=s3cret&sslpassword=s3cret", "postgresql://db.example/letta"),
        # A part of the password, to whoever takes these literally, is a host, a port, a database or an option.
        ("postgresql://ada:s3@cret@db.example/letta", "postgresql://***"),
        ("postgresql://ada:s3/cret@db.example/letta", "postgresql://***"),
        ("postgresql://ada:s3cret/letta", "postgresql://***"),
        ("postgresql://db.example/letta?password=s3@cret", "postgresql://***"),
        ("postgresql://db.example/letta?password=s3&cret", "postgresql://db.example/letta"),
        ("postgresql:ada:s3cret@db.example/letta", "postgresql:***"),
        ("ada:s3cret@db.example/letta", "ada:***"),
        ("host=db.example password='s3 cret'", "host=***"),
        ("letta.db", "letta.db"),
        # Files may have any name.
        ("sqlite:////srv/a:b/x@y.db", "sqlite:////srv/a:b/x@y.db"),
    ],
)
def test_a_database_is_told_without_its_password(url: str, told: str) -> None:
    assert without_password(url) == told


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:s3@cret@127.0.0.1:1/letta",
        "postgresql://ada:s3/cret@127.0.0.1:1/letta",
        "postgresql://ada:s3cret/letta",
        "postgresql://ada:s3cret@127.0.0.1:port/letta",
        "postgresql://ada:s3%crcret@127.0.0.1:1/letta",
        "postgresql://127.0.0.1:1/letta?password=s3&cret",
        "postgresql://127.0.0.1:1/letta?password=s3&cret=x",
        "postgresql:ada:s3cret@127.0.0.1:1/letta",
        "host=127.0.0.1 port=1 password=s3cret",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_a_word_of_the_password(url: str) -> None:
    with pytest.raises(DatabaseUnusableError) as refused:
        backend_of(url).check_free()
    assert "URL" in str(refused.value)
    assert "cret" not in str(refused.value)
    assert "s3" not in str(refused.value)
    # Nor is it in a traceback.
    assert refused.value.__cause__ is None


@given(secret=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_password_that_is_encoded_is_read_and_not_told(secret: str) -> None:
    encoded = quote(secret, safe="")
    for url, told in (
        (f"postgresql://ada:{encoded}@db/letta", "postgresql://ada:***@db/letta"),
        (f"postgresql://ada@db/letta?password={encoded}", "postgresql://ada@db/letta"),
    ):
        assert is_clear(url)
        assert conninfo_to_dict(url)["password"] == secret
        assert without_password(url) == told


# Passwords are of letters that nothing else has, and of what has a meaning in URLs.
_parts = st.text("ab1:@/?&=%#[],.", max_size=5)
_secrets = st.text("XYZ:@/?&=%#[],.", max_size=9)


@given(before=_parts, secret=_secrets, between=_parts, after=_parts)
@example(before="a", secret="X@Y", between="b", after="b")
def test_of_a_password_that_is_not_encoded_nothing_is_told_or_taken_for_something_else(
    before: str, secret: str, between: str, after: str
) -> None:
    for url in (
        f"postgresql://{before}:{secret}@{between}/{after}",
        f"postgresql://{before}@{between}/{after}?password={secret}",
    ):
        assert not set("XYZ") & set(without_password(url)), url
        if is_clear(url):
            try:
                read = conninfo_to_dict(url)
            except ProgrammingError:
                continue
            others = "".join(str(value) for name, value in read.items() if name != "password")
            assert not set("XYZ") & set(others), url
