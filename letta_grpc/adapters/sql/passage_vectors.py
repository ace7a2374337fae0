"""What notes mean, as vectors that are compared one by one: 10 000 notes of 1536 numbers take about half a second."""

import heapq
import math
from array import array
from collections.abc import Iterable, Sequence
from operator import mul

from sqlalchemy import Connection, delete, exists, insert, select

from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.passages import tagged
from letta_grpc.adapters.sql.rows import Row, passage_of
from letta_grpc.adapters.sql.schema import passage_vectors, passages
from letta_grpc.domain.ids import AgentId, PassageId
from letta_grpc.domain.passages import Passage


class SqlPassageVectors:
    """What notes mean."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def missing(self, agent_id: AgentId | None, model: str, limit: int) -> tuple[Passage, ...]:
        """Return the oldest notes without a vector of this model."""
        # Asked about one note after the other: as a list of what is known it would be all agents' notes, with each search.
        known = exists().where(passage_vectors.c.passage_id == passages.c.id, passage_vectors.c.model == model)
        query = select(passages).where(~known).order_by(passages.c.position).limit(limit)
        if agent_id is not None:
            query = query.where(passages.c.agent_id == agent_id)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return tuple(passage_of(row) for row in rows)

    async def add(self, model: str, vectors: Sequence[tuple[Passage, Sequence[float]]]) -> None:
        """Keep vectors."""
        packed = [(passage, _packed(vector)) for passage, vector in vectors]
        await self._database.write(lambda connection: _add(connection, model, packed))

    async def nearest(
        self, agent_id: AgentId, model: str, vector: Sequence[float], tags: Sequence[str], limit: int
    ) -> tuple[PassageId, ...]:
        """Return the notes that mean the most similar."""
        query = (
            select(passages.c.position, passages.c.id, passage_vectors.c.vector)
            .join(passage_vectors, passage_vectors.c.passage_id == passages.c.id)
            .where(passages.c.agent_id == agent_id, passage_vectors.c.model == model)
        )
        narrowed, sought = tagged(query, tags), array("f", _packed(vector))
        return await self._database.read(lambda connection: _nearest(connection.execute(narrowed), sought, limit))


def _packed(vector: Sequence[float]) -> bytes:
    """Return a vector of unit length, so that the cosine of two is their product; one of zeros stays as it is."""
    length = math.hypot(*vector) or 1.0
    return array("f", (number / length for number in vector)).tobytes()


def _add(connection: Connection, model: str, vectors: Sequence[tuple[Passage, bytes]]) -> None:
    for passage, vector in vectors:
        same = select(passages.c.id).where(passages.c.id == passage.id, passages.c.text == passage.text)
        if connection.execute(same).first():
            connection.execute(delete(passage_vectors).where(passage_vectors.c.passage_id == passage.id))
            connection.execute(insert(passage_vectors), {"passage_id": passage.id, "model": model, "vector": vector})


def _nearest(rows: Iterable[Row], sought: "array[float]", limit: int) -> tuple[PassageId, ...]:
    near = (
        (sum(map(mul, sought, array("f", vector))), position, passage_id)
        for position, passage_id, vector in rows
        if len(vector) == len(sought) * sought.itemsize
    )
    return tuple(passage_id for _, _, passage_id in heapq.nlargest(limit, near))
