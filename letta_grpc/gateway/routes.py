"""Routes: what `google.api.http` says of every RPC."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from letta_grpc.gateway.descriptors import Rpc
from letta_grpc.gateway.templates import Template, template_of

_VERBS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One HTTP form of an RPC. `body`: "*" for all fields, a field's name, or "" for none."""

    rpc: Rpc
    verb: str
    template: Template
    body: str
    response_body: str

    @property
    def is_socket(self) -> bool:
        """Whether the client streams too: such an RPC is a WebSocket, whatever its verb."""
        return self.rpc.client_streaming


class Routes:
    """All bindings of some RPCs. The most literal template that matches wins.

    A template with a custom verb leaves no path to one without: what is behind the colon is never part of a variable then.
    """

    def __init__(self, rpcs: Iterable[Rpc]) -> None:
        found = [binding for rpc in rpcs if rpc.rule is not None for binding in _bindings(rpc, rpc.rule)]
        self.bindings: Sequence[Binding] = sorted(found, key=lambda binding: binding.template.weight)

    def match(self, path: str) -> Iterator[tuple[Binding, Mapping[str, str]]]:
        """Yield the bindings whose template fits a path, best first, with the variables. Raises BadPathError."""
        has_verb = False
        for binding in self.bindings:
            if has_verb and not binding.template.verb:
                return
            variables = binding.template.match(path)
            if variables is not None:
                has_verb = bool(binding.template.verb)
                yield binding, variables


def _bindings(rpc: Rpc, rule: Any) -> Iterator[Binding]:  # noqa: ANN401 - google.api.HttpRule has no stubs
    kind: str = rule.WhichOneof("pattern")
    if kind in _VERBS:
        verb, path = kind.upper(), getattr(rule, kind)
    else:
        verb, path = rule.custom.kind.upper(), rule.custom.path
    yield Binding(rpc=rpc, verb=verb, template=template_of(path), body=rule.body, response_body=rule.response_body)
    for more in rule.additional_bindings:
        yield from _bindings(rpc, more)
