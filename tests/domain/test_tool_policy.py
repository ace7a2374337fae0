from hypothesis import given
from hypothesis import strategies as st

from letta_grpc.domain.completions import ANY_TOOL
from letta_grpc.domain.tool_policy import Ends, GoesOn, Offer, Owes, ToolPolicy
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
from letta_grpc.domain.turns import DEMAND, MadeCall
from tests.support.rules import NAMES, RULES, check_rules

TOOLS = ("a", "b", "c")


def policy(*rules: ToolRule) -> ToolPolicy:
    return ToolPolicy(rules=rules, tools=TOOLS)


def made(*tools: str, output: str = "done") -> list[MadeCall]:
    return [MadeCall(tool=tool, output=output) for tool in tools]


def test_without_rules_everything_may_be_called_and_nothing_must() -> None:
    assert policy().offer(made("a", "a")) == Offer(tools=TOOLS)
    assert policy().offer([]).choice is None


def test_a_turn_begins_with_one_of_the_tools_that_run_first() -> None:
    assert policy(RunFirst(tool="b")).offer([]).choice == "b"
    either = policy(RunFirst(tool="b"), RunFirst(tool="c"))
    assert either.offer([]).tools == ("b", "c")
    assert either.offer([]).choice == ANY_TOOL
    assert either.offer(made("c")) == Offer(tools=TOOLS)


def test_arguments_can_be_given_to_what_runs_first() -> None:
    rules = policy(RunFirst(tool="b", arguments='{"x": 1}'))
    assert rules.offer([]).arguments == {"b": '{"x": 1}'}
    assert rules.offer(made("b")).arguments == {}


def test_after_its_parent_one_of_the_children_must_come() -> None:
    rules = policy(ConstrainChild(tool="a", children=("b", "c", "gone"), arguments={"c": '{"x": 1}'}))
    assert rules.offer(made("a")).tools == ("b", "c")
    assert rules.offer(made("a")).choice == ANY_TOOL
    assert rules.offer(made("a")).arguments["c"] == '{"x": 1}'
    assert rules.offer(made("a", "b")) == Offer(tools=TOOLS)


def test_two_rules_for_one_parent_hold_together() -> None:
    rules = policy(
        ConstrainChild(tool="a", children=("a", "b"), arguments={"b": '{"x": 1}'}),
        ConstrainChild(tool="a", children=("b", "c"), arguments={"b": '{"x": 2}'}),
    )
    assert rules.offer(made("a")) == Offer(tools=("b",), must_call=True, arguments={"b": '{"x": 1}'})


def test_a_child_comes_only_right_after_its_parent() -> None:
    rules = policy(ParentLast(tool="a", children=("b",)))
    assert rules.offer([]).tools == ("a", "c")
    assert rules.offer(made("a")).tools == TOOLS
    assert rules.offer(made("a", "c")).tools == ("a", "c")


def test_any_of_several_parents_will_do() -> None:
    rules = policy(ParentLast(tool="a", children=("b",)), ParentLast(tool="c", children=("b",)))
    assert rules.offer(made("c")).tools == TOOLS


def test_what_a_tool_returned_says_which_comes_next() -> None:
    rules = policy(Conditional(tool="a", next_by_output={"true": "b", "7": "c"}))
    assert rules.offer(made("a", output="True ")).choice == "b"
    assert rules.offer(made("a", output="7.0")).choice == "c"
    assert rules.offer(made("a", output="else")) == Offer(tools=TOOLS)
    assert policy(Conditional(tool="a", next_by_output={"x": "b"}, default="c")).offer(made("a")).choice == "c"
    assert policy(Conditional(tool="a", next_by_output={"None": "b"})).offer(made("a", output="null")).choice == "b"


def test_where_the_mapping_is_required_nothing_follows_an_unexpected_output() -> None:
    rules = policy(Conditional(tool="a", next_by_output={"x": "b"}, require_mapping=True, default="c"))
    assert rules.offer(made("a")) == Offer(tools=(), must_call=True)
    assert rules.offer(made("a")).choice is None
    assert rules.after(made("a"), [], wants_more=False) == Ends(by_rule=False)


def test_a_tool_is_offered_only_so_often() -> None:
    rules = policy(MaxCount(tool="a", limit=2))
    assert "a" in rules.offer(made("a", "b")).tools
    assert "a" not in rules.offer(made("a", "b", "a")).tools


def test_calls_of_one_answer_count_for_each_other() -> None:
    rules = policy(MaxCount(tool="a", limit=1))
    assert rules.within([], made("a")).tools == ("b", "c")


def test_behind_a_call_that_ends_the_turn_none_may_run() -> None:
    rules = policy(ExitLoop(tool="a"))
    assert rules.within([], made("b")).tools == TOOLS
    assert rules.within([], made("b", "a")).tools == ()
    assert rules.within(made("a"), []).tools == TOOLS


def test_what_follows_an_output_waits_until_it_is_known() -> None:
    rules = policy(Conditional(tool="a", next_by_output={"x": "b"}))
    assert rules.within([], [MadeCall(tool="a")]).tools == ()
    assert rules.within([], made("a", output="x")).tools == ("b",)


def test_rules_say_nothing_of_tools_that_the_agent_does_not_have() -> None:
    rules = policy(RunFirst(tool="gone"), RequiredBeforeExit(tool="gone"), ParentLast(tool="gone", children=("a",)))
    assert rules.offer([]) == Offer(tools=TOOLS)
    assert rules.after([], [], wants_more=False) == Ends(by_rule=False)
    assert not rules.in_order


def test_order_matters_for_every_rule_but_approval() -> None:
    assert not policy(RequiresApproval(tool="a")).in_order
    assert policy(RequiresApproval(tool="a"), MaxCount(tool="a", limit=3)).in_order


def test_a_turn_goes_on_while_there_is_more_and_ends_when_there_is_not() -> None:
    assert policy().after(made("a"), ["a"], wants_more=True) == GoesOn()
    assert policy().after([], [], wants_more=False) == Ends(by_rule=False)


def test_a_turn_ends_after_a_tool_that_exits() -> None:
    rules = policy(ExitLoop(tool="a"), ContinueLoop(tool="a"))
    assert rules.after(made("b"), ["b"], wants_more=True) == GoesOn()
    assert rules.after(made("b", "a"), ["a"], wants_more=True) == Ends(by_rule=True)
    assert rules.after(made("a"), [], wants_more=False) == Ends(by_rule=False)


def test_a_turn_goes_on_after_a_tool_that_continues() -> None:
    assert policy(ContinueLoop(tool="a")).after(made("a"), ["a"], wants_more=False) == GoesOn()


def test_a_required_tool_is_demanded_before_the_turn_may_end() -> None:
    rules = policy(ExitLoop(tool="a"), RequiredBeforeExit(tool="b"), RequiredBeforeExit(tool="c"))
    verdict = rules.after(made("a"), ["a"], wants_more=True)
    assert isinstance(verdict, Owes)
    assert verdict.tools == ("b", "c")
    assert verdict.demand.startswith(DEMAND)
    assert "b and c" in verdict.demand
    assert rules.after(made("b"), [], wants_more=False) == Owes(("c",))
    assert rules.after(made("b", "c"), [], wants_more=False) == Ends(by_rule=False)


def denied(*tools: str) -> list[MadeCall]:
    return [MadeCall(tool=tool, output="denied", denied=True) for tool in tools]


def test_a_denied_call_is_owed_no_longer_and_counts_for_nothing() -> None:
    rules = policy(RunFirst(tool="a"), MaxCount(tool="a", limit=1), RequiredBeforeExit(tool="a"), ExitLoop(tool="a"))
    assert rules.offer(denied("a")) == Offer(tools=("a",), arguments={"a": ""})
    assert rules.owed(denied("a")) == ()
    assert rules.after(denied("a"), [], wants_more=False) == Ends(by_rule=False)
    assert rules.within([], denied("a")).tools == ("a",)


def test_after_a_denied_child_the_model_may_end_or_call_another_child() -> None:
    rules = policy(ConstrainChild(tool="a", children=("b", "c")))
    assert rules.offer([*made("a"), *denied("b")]) == Offer(tools=("b", "c"), arguments={"b": "", "c": ""})


def test_words_do_not_stand_for_a_call_that_must_come() -> None:
    assert policy(RunFirst(tool="a")).after([], [], wants_more=False) == Owes(("a",), any_of=True)
    assert policy(ConstrainChild(tool="a", children=("b",))).after(made("a"), ["a"], wants_more=False) == GoesOn()


def test_an_offer_is_narrowed_to_what_it_has_of_the_tools_that_are_wanted() -> None:
    offer = Offer(tools=("a", "b", "c"), arguments={"a": "{}"})
    assert offer.narrowed(("c", "a", "d")) == Offer(tools=("a", "c"), must_call=True, arguments={"a": "{}"})
    assert offer.narrowed(("d",)) is offer
    assert offer.narrowed(()) is offer


def test_a_demand_says_whether_all_are_owed_or_one_of_them() -> None:
    assert "must call a and b before" in Owes(("a", "b")).demand
    assert "must call a or b before" in Owes(("a", "b"), any_of=True).demand


ANSWER = st.lists(st.tuples(NAMES, st.sampled_from(["x", "True", "1.0", "y"])), max_size=3)


@given(st.lists(RULES, max_size=6), st.lists(ANSWER, max_size=12))
def test_whatever_the_model_does_no_rule_is_broken(rules: list[ToolRule], answers: list[list[tuple[str, str]]]) -> None:
    solver = policy(*rules)
    history: list[MadeCall] = []
    for answer in answers:
        step: list[MadeCall] = []
        for name, output in answer:
            offer = solver.within(history, step)
            assert offer == solver.within(tuple(history), tuple(step))
            assert set(offer.tools) <= set(TOOLS)
            if name in offer.tools:
                step.append(MadeCall(tool=name, output=output))
        history += step
        check_rules(rules, [call.tool for call in history], TOOLS)
        verdict = solver.after(history, [call.tool for call in step], wants_more=bool(answer))
        if isinstance(verdict, Ends):
            assert not solver.owed(history) or not solver.offer(history).tools
            return


@given(st.lists(RULES, max_size=6))
def test_a_model_that_calls_what_it_must_comes_to_an_end(rules: list[ToolRule]) -> None:
    solver = policy(*(rule for rule in rules if not isinstance(rule, ContinueLoop)))
    assert isinstance(solver.after(made("a", "b", "c"), [], wants_more=False), Ends | Owes)
