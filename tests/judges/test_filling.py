"""Apache PDFBox fills in what was sealed: permitted and named, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyhanko.sign.fields import MDPPerm

from sealcore.clock import FixedClock
from tests.attacks.forms import order_form
from tests.judges.java import Judge
from tests.verify.office import NOW, Office
from verify.report import Change, Verdict
from verify.verifier import verify

VALUES = {
    "name": "Jane O'Neill", "notes": "several words that go on for more than one line of the field", "code": "A123",
    "agreed": "Yes", "colour": "green", "country": "CN", "items": "two",
}  # fmt: skip


@pytest.fixture(scope="module")
def pdfbox() -> Iterator[Judge]:
    with Judge("FillIn") as judge:
        yield judge


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


@pytest.mark.parametrize("names", [*((name,) for name in VALUES), tuple(VALUES)], ids=" ".join)
def test_what_pdfbox_fills_in_is_permitted_and_named(pdfbox: Judge, office: Office, tmp_path: Path, names: tuple[str, ...]) -> None:
    source, target = tmp_path / "sealed.pdf", tmp_path / "filled.pdf"
    source.write_bytes(office.sign(order_form(), certify=MDPPerm.FILL_FORMS).data)
    assert pdfbox.ask("\t".join([str(source), str(target), *(f"{name}={VALUES[name]}" for name in names)])) == "filled"
    report = verify(target.read_bytes(), office.trust(), None, clock=FixedClock(NOW))
    seal = next(each for each in report.seals if each.field == "Seal1")
    assert report.verdict is Verdict.VALID and seal.changed.state is Change.PERMITTED, seal.findings
    assert set(seal.changed.fields) == set(names)


def test_a_form_that_allows_nothing_is_changed_by_filling_it_in(pdfbox: Judge, office: Office, tmp_path: Path) -> None:
    source, target = tmp_path / "sealed.pdf", tmp_path / "filled.pdf"
    source.write_bytes(office.sign(order_form(), certify=MDPPerm.NO_CHANGES).data)
    assert pdfbox.ask(f"{source}\t{target}\tname=Jane") == "filled"
    assert verify(target.read_bytes(), office.trust(), None, clock=FixedClock(NOW)).verdict is Verdict.INVALID
