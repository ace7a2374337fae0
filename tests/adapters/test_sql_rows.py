"""What is stored in SQLite is what is read from it, whatever it is."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, create_engine, insert, select
from sqlalchemy.pool import StaticPool

from letta_grpc.adapters.sql.rows import (
    ANSWER,
    SPEC,
    Row,
    Values,
    agent_of,
    block_of,
    conversation_of,
    message_of,
    message_values,
    passage_of,
    passage_values,
    run_of,
    run_values,
    spec_of,
    step_values,
)
from letta_grpc.adapters.sql.runs import step_of
from letta_grpc.adapters.sql.schema import agents, blocks, conversations, messages, metadata, passages, runs, steps
from letta_grpc.adapters.sql.values import agent_values, block_values, conversation_values
from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.approvals import Answer
from letta_grpc.domain.blocks import Block
from letta_grpc.domain.messages import Message
from letta_grpc.domain.passages import Passage
from letta_grpc.domain.runs import Run, RunSpec, Step
from tests.support.values import any_of

_durations = st.integers(min_value=0, max_value=86_400_000_000).map(lambda micros: timedelta(microseconds=micros))


@pytest.fixture(scope="module")
def database() -> Iterator[Connection]:
    """A database in memory; no foreign key is checked, so that a row can stand alone."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.connect() as connection:
        metadata.create_all(connection)
        connection.commit()
        yield connection
    engine.dispose()


def stored_and_read(database: Connection, table: Table, values: Values, read: Callable[[Row], object]) -> object:
    with database.begin() as transaction:
        database.execute(insert(table), values)
        row = database.execute(select(table)).one()
        transaction.rollback()
    return read(row)


@given(agent=any_of(Agent))
def test_an_agent_survives_its_row(database: Connection, agent: Agent) -> None:
    assert stored_and_read(database, agents, agent_values(agent), lambda row: agent_of(row, agent.memory_blocks)) == agent


@given(conversation=any_of(Conversation))
def test_a_conversation_survives_its_row(database: Connection, conversation: Conversation) -> None:
    assert stored_and_read(database, conversations, conversation_values(conversation), conversation_of) == conversation


@given(block=any_of(Block))
def test_a_block_survives_its_row(database: Connection, block: Block) -> None:
    assert stored_and_read(database, blocks, block_values(block), block_of) == block


@given(message=any_of(Message))
def test_a_message_survives_its_row(database: Connection, message: Message) -> None:
    assert stored_and_read(database, messages, message_values(message, "conv-1"), message_of) == message


@given(passage=any_of(Passage))
def test_a_note_survives_its_row(database: Connection, passage: Passage) -> None:
    assert stored_and_read(database, passages, passage_values(passage), passage_of) == passage


@given(step=any_of(Step))
def test_a_step_survives_its_row(database: Connection, step: Step) -> None:
    assert stored_and_read(database, steps, step_values(step), step_of) == step


OF_THE_JOURNAL: dict[str, Any] = {"fingerprint": "", "queue_rank": 0, "cancel_requested": False}


@given(run=any_of(Run))
def test_a_run_survives_its_row(database: Connection, run: Run) -> None:
    values = run_values(run) | OF_THE_JOURNAL | {"spec": "", "last_sequence_number": run.last_sequence_number}
    # Callbacks have a table of their own.
    assert stored_and_read(database, runs, values, run_of) == replace(run, callback=None)


@given(run=any_of(Run), spec=any_of(RunSpec), durations=st.tuples(_durations, _durations, _durations))
def test_a_spec_survives_the_row_of_its_run(
    database: Connection, run: Run, spec: RunSpec, durations: tuple[timedelta, timedelta, timedelta]
) -> None:
    timeout, grace, patience = durations
    spec = replace(spec, run_timeout=timeout, disconnect_grace=grace, approval_timeout=patience)
    assert stored_and_read(database, runs, run_values(run) | OF_THE_JOURNAL | {"spec": SPEC.dump(spec)}, spec_of) == spec


@given(any_of(Answer))
def test_an_answer_survives_its_column(answer: Answer) -> None:
    assert ANSWER.load(ANSWER.dump(answer)) == answer


def test_what_has_its_default_takes_no_room_in_a_spec() -> None:
    assert SPEC.dump(RunSpec(messages=())) == '{"messages":[]}'
