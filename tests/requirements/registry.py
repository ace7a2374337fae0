"""What is promised, by name, and which tests show it.

Each file beside this one that has REQUIREMENTS (name → sentence) speaks for one part; a test says `@requirement("name")`.
"""

import ast
import importlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")

HERE = Path(__file__).parent
TESTS = HERE.parent


def requirement(*names: str) -> Callable[[T], T]:
    """Say which requirements a test shows. Raises LookupError for a name that nobody has promised."""
    if unknown := set(names) - requirements().keys():
        raise LookupError(f"no file of tests/requirements promises {', '.join(sorted(unknown))}")
    return lambda test: test


@cache
def requirements() -> Mapping[str, str]:
    """Every promise of every part."""
    gathered: dict[str, str] = {}
    for module in promising_modules():
        if twice := gathered.keys() & module.REQUIREMENTS.keys():
            raise LookupError(f"{module.__name__} promises once more: {', '.join(sorted(twice))}")
        gathered |= module.REQUIREMENTS
    return gathered


def promising_modules() -> list[ModuleType]:
    names = sorted(path.stem for path in HERE.glob("*.py") if path.stem != "registry" and not path.stem.startswith("test_"))
    return [importlib.import_module(f"tests.requirements.{name}") for name in names]


def marked_tests(folder: Path = TESTS) -> Mapping[str, list[str]]:
    """Which tests are marked with which requirement, as their files say: no matter which of them run now."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        for test, names in _marks(ast.parse(path.read_text())):
            for name in names:
                found[name].append(f"{path.relative_to(folder)}::{test}")
    return found


def _marks(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for mark in node.decorator_list:
                match mark:
                    case ast.Call(func=ast.Name(id="requirement"), args=args):
                        yield node.name, [ast.literal_eval(argument) for argument in args]
                    case _:
                        pass
