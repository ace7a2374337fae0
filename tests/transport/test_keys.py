"""Who is let in, and for how long."""

import logging
import os
from pathlib import Path

import pytest

from letta_grpc.domain.errors import CredentialsInvalid, CredentialsMissing
from letta_grpc.transport import renewal
from letta_grpc.transport.keys import ApiKeys
from letta_grpc.transport.renewal import UnusableFileError
from tests.support.files import replace


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, renewal.logger.name)
    return caplog


def lets_in(keys: ApiKeys, key: str) -> bool:
    try:
        keys.check({"authorization": f"Bearer {key}"}, lambda: "somebody")
    except CredentialsInvalid:
        return False
    return True


def test_keys_of_a_file_count_beside_those_that_are_given(file: Path) -> None:
    file.write_text("\ufeff# of the backend\r\nfirst\r\n\n  second \n# old\n#third")
    keys = ApiKeys(["given"], file)
    tried = ("given", "first", "second", "third", "#third", "old", "fir", "")
    assert [key for key in tried if key and lets_in(keys, key)] == ["given", "first", "second"]
    for sent in ({}, {"authorization": "Bearer "}):
        with pytest.raises(CredentialsMissing):
            keys.check(sent, lambda: "somebody")


def test_a_change_counts_from_the_next_call_on(file: Path, logged: pytest.LogCaptureFixture) -> None:
    file.write_text("old\n")
    keys = ApiKeys((), file)
    replace(file, b"old\nnew\n")
    assert (lets_in(keys, "old"), lets_in(keys, "new")) == (True, True)
    replace(file, b"new\n")
    assert (lets_in(keys, "old"), lets_in(keys, "new")) == (False, True)
    told = [record.message for record in logged.records if record.name == renewal.logger.name]
    assert told == ["a renewed list of API keys is in service"] * 2


BROKEN = {
    "gone": (None, "cannot read the API keys: No such file or directory: {file}"),
    "empty": (b"", "{file} holds no API key"),
    "comments": (b"# first\n\n", "{file} holds no API key"),
    "unsendable": (
        "fine\nschl\u00fcssel\n".encode(),
        "line 2 of {file} holds more than printable ASCII: no caller can send it",
    ),
    "tab": (b"first\tkey", "line 1 of {file} holds more than printable ASCII: no caller can send it"),
    "two": (b"first second", "line 1 of {file} holds more than a key: one a line, no blanks, no commas"),
    "list": (b"\nfirst,second", "line 2 of {file} holds more than a key: one a line, no blanks, no commas"),
    "no text": (b"\xff\xfe", "line 1 of {file} holds more than printable ASCII: no caller can send it"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_without_keys_lets_nobody_else_in_and_shuts_nobody_out(
    file: Path, logged: pytest.LogCaptureFixture, name: str
) -> None:
    content, complaint = BROKEN[name]
    file.write_text("secret\n")
    keys = ApiKeys((), file)
    file.unlink() if content is None else replace(file, content)
    assert [lets_in(keys, key) for key in ("secret", "fine", "other")] == [True, False, False]
    told = [record.message for record in logged.records if record.name == renewal.logger.name]
    assert told == [f"the list of API keys in service stays: {complaint.format(file=file)}"]
    replace(file, b"other")
    assert [lets_in(keys, key) for key in ("secret", "other")] == [False, True]


def test_a_pipe_is_read_by_nobody(file: Path, logged: pytest.LogCaptureFixture) -> None:
    # It would be waited for.
    os.mkfifo(file)
    with pytest.raises(UnusableFileError, match="is not a file"):
        ApiKeys((), file)
    file.unlink()
    file.write_text("secret")
    keys = ApiKeys((), file)
    file.unlink()
    os.mkfifo(file)
    assert lets_in(keys, "secret")
    assert [record.message for record in logged.records] == [f"the list of API keys in service stays: {file} is not a file"]


@pytest.mark.parametrize("name", BROKEN)
def test_a_server_does_not_begin_with_such_a_file(file: Path, name: str) -> None:
    content, complaint = BROKEN[name]
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UnusableFileError) as refused:
        ApiKeys(["given"], file)
    assert str(refused.value) == complaint.format(file=file)
