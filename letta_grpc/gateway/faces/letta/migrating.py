"""Route by route: what of the reference server's API works here, what works better, and what is not here."""

from letta_grpc.gateway.faces.letta import OPERATIONS
from letta_grpc.gateway.faces.letta.elsewhere import ELSEWHERE


def routes_table() -> str:
    """Return a row for each route."""
    here = [
        f"| `{operation.verb} {operation.path}` | {'works better' if operation.better else 'works'} "
        f"| {'; '.join(filter(None, (operation.better, operation.differs)))} |"
        for operation in OPERATIONS
    ]
    gone = [f"| {', '.join(f'`{path}`' for path in each.paths)} | not here | {each.instead} |" for each in ELSEWHERE]
    return "\n".join(("| route | | |", "|---|---|---|", *here, *gone))
