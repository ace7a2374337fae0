"""What the package imports is installed with it: by its base install, or by one of its extras."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# It makes the synchronous client: a tool of ours, which says that it needs the development tools.
DEVELOPMENT_TOOL = ROOT / "letta_grpc/client/_unasync.py"


def imported() -> Iterator[tuple[str, Path]]:
    for path in (ROOT / "letta_grpc").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())) if path != DEVELOPMENT_TOOL else ():
            if isinstance(node, ast.Import):
                yield from ((alias.name, path) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module, path


def installed_with(name: str, found: set[str], *, extras: bool) -> set[str]:
    """Return what the installation of a package brings, itself included; of `found` all is known."""
    if name not in found:
        found.add(name)
        try:
            requirements = requires(name) or ()
        except PackageNotFoundError:
            requirements = ()
        for requirement in requirements:
            if extras or "extra ==" not in requirement:
                installed_with(normal(re.split(r"[^\w.-]", requirement)[0]), found, extras=False)
    return found


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_an_extra_installs_whatever_the_package_imports() -> None:
    known = installed_with("letta-grpc", set(), extras=True)
    distributions = packages_distributions()
    for module, path in imported():
        top = module.partition(".")[0]
        if top not in sys.stdlib_module_names and top != "letta_grpc":
            assert known.intersection(map(normal, distributions[top])), f"{path.relative_to(ROOT)} imports {module}"
