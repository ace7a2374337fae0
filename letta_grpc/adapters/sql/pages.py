"""Pages of a list, by a column that rises with creation."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Select, select

from letta_grpc.adapters.sql.rows import Row
from letta_grpc.domain.paging import Page, PageRequest

T = TypeVar("T")


def paged(query: Select[Any], by: Column[int], page: PageRequest, *within: ColumnElement[bool]) -> Select[Any]:
    """Narrow a query to the rows of a page, and one more, which tells that another page follows.

    `within` leads to an item that is named by its id, where a table has no index of ids.
    """
    after: int | ColumnElement[int] | None = page.after
    if page.after_id is not None:
        after = select(by).where(by.table.c.id == page.after_id, *within).scalar_subquery()
    if after is not None:
        query = query.where(by < after if page.descending else by > after)
    return query.order_by(by.desc() if page.descending else by).limit(page.size + 1)


def page_of(rows: Sequence[Row], page: PageRequest, item_of: Callable[[Row], T], at: int = 0) -> Page[T]:
    """Return the page of what `paged` found. `at` is where in a row the column stands that the pages go by."""
    shown = rows[: page.size]
    more = len(rows) > len(shown)
    return Page(tuple(item_of(row) for row in shown), shown[-1][at] if more and shown else None)
