"""No promise without a test, no mark without a promise."""

from pathlib import Path

import pytest

from tests.requirements.registry import marked_tests, requirement, requirements


def test_every_requirement_is_shown_by_a_test() -> None:
    assert sorted(requirements().keys() - marked_tests().keys()) == []


def test_every_mark_names_a_requirement() -> None:
    assert sorted(marked_tests().keys() - requirements().keys()) == []


def test_a_mark_that_names_nothing_is_an_error_where_it_stands() -> None:
    with pytest.raises(LookupError, match="fast_as_light"):
        requirement("ordered", "fast_as_light")


def test_marks_are_found_in_files_whether_or_not_they_run(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(
        '@requirement("ends", "same")\nasync def test_one(): ...\n\n'
        'class TestAll:\n    @requirement("ends")\n    def test_two(self): ...\n'
    )
    assert marked_tests(tmp_path) == {
        "ends": ["test_some.py::test_one", "test_some.py::test_two"],
        "same": ["test_some.py::test_one"],
    }
