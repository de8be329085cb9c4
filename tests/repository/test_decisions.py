"""Records of decisions have one form: number, status, context, decision, alternatives, consequences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

RECORDS = sorted((REPOSITORY / "docs" / "adr").glob("*.md"))
SECTIONS = ["Context", "Decision", "Alternatives", "Consequences"]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_decision_has_the_form(record: Path) -> None:
    title, status, *rest = re.split(r"\n\n+", record.read_text("utf-8"))
    assert re.fullmatch(rf"# {int(record.name[:4])}\. \S.*", title)
    assert re.fullmatch(r"Status: (proposed|accepted|(accepted, extended|superseded) by \[ADR \d+\]\(\d{4}-[\w-]+\.md\))\.", status)
    sections = re.split(r"^## (.+)\n\n", "\n\n".join(rest), flags=re.MULTILINE)
    assert sections[0] == ""
    assert sections[1::2] == SECTIONS
    assert all(re.search(r"\w", body) for body in sections[2::2])


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))
