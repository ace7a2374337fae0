"""`scripted/…` for the catalog."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from letta_grpc.adapters.scripted.actions import Action
from letta_grpc.adapters.scripted.demo import demo_actions, echo_actions
from letta_grpc.adapters.scripted.playing import play
from letta_grpc.adapters.scripted.script import script_actions
from letta_grpc.domain.completions import ModelChunk, ModelInfo, ModelRequest, ProviderInfo
from letta_grpc.ports.clock import Clock

NAME = "scripted"
# About the pace at which people read along.
DEMO_PACE_SECONDS = 0.015


class _RuleModel:
    """Answers each request by a rule."""

    def __init__(self, rule: Callable[[ModelRequest], Sequence[Action]], clock: Clock) -> None:
        self._rule = rule
        self._clock = clock

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelChunk], None]:
        async with aclosing(play(self._rule(request), request, self._clock.sleep)) as batches:
            async for batch in batches:
                yield batch


class ScriptedProvider:
    """The models that need no key: `echo`, `demo` and `script`. `pace_seconds` lies between the words of `demo`."""

    def __init__(self, clock: Clock, *, pace_seconds: float = DEMO_PACE_SECONDS) -> None:
        self._models = {
            "demo": _RuleModel(lambda request: demo_actions(request, pace_seconds), clock),
            "echo": _RuleModel(echo_actions, clock),
            "script": _RuleModel(script_actions, clock),
        }

    @property
    def info(self) -> ProviderInfo:
        """What may be told of it."""
        return ProviderInfo(name=NAME)

    def find(self, name: str) -> _RuleModel | None:
        """Return a model by its name."""
        return self._models.get(name)

    async def list_models(self) -> tuple[ModelInfo, ...]:
        """Return the three."""
        return tuple(ModelInfo(handle=f"{NAME}/{name}", provider=NAME, name=name) for name in self._models)

    async def close(self) -> None:
        """Do nothing: there is nothing open."""
