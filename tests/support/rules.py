"""Rules about tools by Hypothesis, and what must hold of calls under them."""

from collections.abc import Collection, Sequence
from itertools import pairwise

from hypothesis import strategies as st

from letta_grpc.domain.tool_rules import (
    Conditional,
    ConstrainChild,
    ContinueLoop,
    ExitLoop,
    MaxCount,
    ParentLast,
    RequiredBeforeExit,
    RequiresApproval,
    RunFirst,
    ToolRule,
)

NAMES = st.sampled_from("abcd")
RULES = st.one_of(
    st.builds(RunFirst, tool=NAMES),
    st.builds(ExitLoop, tool=NAMES),
    st.builds(ContinueLoop, tool=NAMES),
    st.builds(ConstrainChild, tool=NAMES, children=st.lists(NAMES, min_size=1, max_size=3).map(tuple)),
    st.builds(ParentLast, tool=NAMES, children=st.lists(NAMES, min_size=1, max_size=3).map(tuple)),
    st.builds(
        Conditional,
        tool=NAMES,
        next_by_output=st.dictionaries(st.sampled_from(["x", "true", "1"]), NAMES, min_size=1),
        default=st.none() | NAMES,
        require_mapping=st.booleans(),
    ),
    st.builds(MaxCount, tool=NAMES, limit=st.integers(1, 3)),
    st.builds(RequiredBeforeExit, tool=NAMES),
    st.builds(RequiresApproval, tool=NAMES),
)


def check_rules(rules: Sequence[ToolRule], names: Sequence[str], tools: Collection[str]) -> None:
    """Check that calls of these tools, in this order, break no rule that can be told from the order alone."""
    known = [rule for rule in rules if rule.tool in tools]
    first = {rule.tool for rule in known if isinstance(rule, RunFirst)}
    assert not names or not first or names[0] in first
    for rule in known:
        following = [after for before, after in pairwise(names) if before == rule.tool]
        match rule:
            case MaxCount():
                assert names.count(rule.tool) <= rule.limit
            case ConstrainChild():
                assert set(following) <= set(rule.children)
            case Conditional() if rule.require_mapping or rule.default:
                assert set(following) <= {*rule.next_by_output.values(), rule.default}
            case _:
                pass
    for child in tools:
        parents = {rule.tool for rule in known if isinstance(rule, ParentLast) and child in rule.children}
        before = {earlier for earlier, later in zip([None, *names], names, strict=False) if later == child}
        assert not parents or before <= parents
