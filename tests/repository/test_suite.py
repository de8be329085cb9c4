"""The suite itself: what keeps it quick, and its answers true."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.conftest import REPOSITORY
from tests.support import order

TESTS = REPOSITORY / "tests"
SKIPS = {"pytest.skip", "pytest.xfail", "pytest.importorskip", "pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail"}
SKIPPED = {  # what a machine that `make setup-test` has prepared may lack after all
    "tests/judges/test_verapdf.py": "the corpus of real documents",
    "tests/support/disks.py": "root, who may mount",
    "tests/timestamp/chrony.py": "root, as whom chronyd runs",
}


@pytest.mark.xdist_group("kept together")
def test_groups_are_kept_together(request: pytest.FixtureRequest) -> None:
    """pytest-xdist names the group at the end of a test's id; where another pytest hides it, each test goes anywhere."""
    assert ("PYTEST_XDIST_WORKER" in os.environ) == request.node.nodeid.endswith("@kept together")


@cache
def _trees() -> dict[str, ast.Module]:
    return {str(path.relative_to(REPOSITORY)): ast.parse(path.read_bytes()) for path in sorted(TESTS.rglob("*.py"))}


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_no_test_module_is_imported() -> None:
    """What several use stands in a module of its own: a test module may be moved, split and dropped without a look at the others."""
    found = [
        (path, name)
        for path, tree in _trees().items()
        for name in _imported(tree)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
    ]
    assert found == []


def test_nothing_is_skipped_but_what_is_named_here() -> None:
    found = {
        path for path, tree in _trees().items() for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node) in SKIPS
    }
    assert found == SKIPPED.keys()


def test_the_order_names_rooms_and_groups_that_are_there() -> None:
    rooms = {path.parent.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
    words = {
        node.value
        for tree in _trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    modules = {path.relative_to(TESTS).with_suffix("").as_posix() for path in TESTS.rglob("test_*.py")}
    assert rooms | modules >= order.TOGETHER
    assert rooms >= set(order.QUICK)
    assert rooms | words >= {order.STARTS_THE_OFFICE, *order.LONGEST}
    functions = {node.name for tree in _trees().values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert functions >= set(order.STARTED)


def test_ports_for_later_come_from_one_place() -> None:
    """A port that the kernel chose may be an outgoing connection's before a server takes it: two tests of a run were lost to that."""
    holding = {"tests/cli/test_office.py", "tests/client/test_sealing.py"}  # these keep the socket as long as they mean its port
    asking = re.compile(r"\.bind\(\(\"127\.0\.0\.1\", 0\)\)")
    assert {str(path.relative_to(REPOSITORY)) for path in TESTS.rglob("*.py") if asking.search(path.read_text("utf-8"))} == holding
