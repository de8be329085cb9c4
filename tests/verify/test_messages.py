"""Whatever a person reads of a verification comes from the catalogue, in each language; from the document come names and numbers alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from pyhanko.sign.fields import MDPPerm

import verify
from sealcore.clock import FixedClock
from sealcore.errors import Code
from tests.attacks.appended import ATTACKS, carried_out, contract
from tests.attacks.forms import fill, order_form
from tests.verify.office import NOW, Office
from verify.catalogue import LANGUAGES, detail, known_facts, messages, refusal
from verify.codes import FindingCode
from verify.facts import NAME_LIMIT, Fact, fact
from verify.verifier import verify as verified

CODE = sorted(Path(verify.__file__).parent.rglob("*.py"))
CHINESE = re.compile(r"[\u4e00-\u9fff]")
LATIN = re.compile(r"[A-Za-z]{2,}")
TERMS = {  # of the standards and of programs, which Chinese texts leave as they are
    *("PDF", "SHA", "PAdES", "MiB", "KiB", "root", "pem", "Acrobat", "Reader", "RGB", "sRGB", "pdfsig", "certutil", "poppler", "utils"),
    *("libnss", "tools"),
}
MADE_BY_KEY = {"certificate_"}  # of parts of a certificate, by their names


def calls(name: str) -> Iterator[ast.Call]:
    """Every call of a function or class whose name matches."""
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
                if re.fullmatch(name, called):
                    yield node


def blanks(text: str) -> set[str]:
    return {name for _literal, name, _spec, _conversion in Formatter().parse(text) if name}


def test_every_fact_that_is_found_is_in_the_catalogue_with_its_values() -> None:
    known, used = messages("en")["fact"], set[str]()
    for call in calls("fact|ChangedError|IrregularError|UnclearError|AmbiguousError|_GapError"):
        told = call.args[0] if call.args else None
        if isinstance(told, ast.JoinedStr):
            assert isinstance(told.values[0], ast.Constant) and told.values[0].value in MADE_BY_KEY, ast.unparse(call)
            used |= {key for key in known if key.startswith(told.values[0].value)}
        elif isinstance(told, ast.Constant):
            assert isinstance(told.value, str), ast.unparse(call)
            used.add(told.value)
            assert blanks(known[told.value]) == {each.arg for each in call.keywords}, ast.unparse(call)
    assert used == known.keys()


def test_no_finding_carries_a_text_of_its_own() -> None:
    found = list(calls("finding|_with"))
    assert len(found) > 40
    for call in found:
        texts = [
            each
            for each in ast.walk(call)
            if isinstance(each, ast.JoinedStr | ast.Constant) and isinstance(getattr(each, "value", ""), str)
        ]
        made = [each for part in ast.walk(call) if part is not call and isinstance(part, ast.Call) for each in ast.walk(part)]
        assert all(each in made for each in texts), ast.unparse(call)


@pytest.mark.parametrize("section", messages("zh"))
def test_chinese_texts_are_chinese(section: str) -> None:
    for key, text in messages("zh")[section].items():
        words = re.sub(r"\{[a-z_]+\}", "", text)
        assert CHINESE.search(words) or not LATIN.search(words), f"{section}.{key}"
        assert set(LATIN.findall(words)) <= TERMS, f"{section}.{key}: {set(LATIN.findall(words)) - TERMS}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_can_be_written(language: str) -> None:
    for section in messages(language).values():
        for text in section.values():
            assert "{" not in text.format(**dict.fromkeys(blanks(text), "x"))


def values_of(facts: tuple[Fact, ...]) -> str:
    texts = (values_of((each,)) if isinstance(each, Fact) else each for one in facts for each in one.values.values())
    return " ".join(texts)


def test_chinese_answers_about_changed_documents_hold_no_english() -> None:
    office = Office()
    sealed, form = (office.sign(each, certify=MDPPerm.FILL_FORMS).data for each in (contract(), order_form()))
    look = "BT /Helv 12 Tf 0 g 2 5 Td (Jane) Tj ET"
    documents = [
        *(carried_out(sealed, ATTACKS[title]) for title in list(ATTACKS)[::15]),
        carried_out(form, lambda writer: fill(writer, "name", "Jane", look)),
        carried_out(form, lambda writer: fill(writer, "name", "1000")),
        carried_out(form, lambda writer: fill(writer, "country", "CN")),
        office.sign(form, field_name="Later", box=(72, 40, 272, 90)).data,
        sealed + b"junk",
        sealed[:-9000] + sealed[-8990:],
    ]
    seen = set[FindingCode]()
    for document in documents:
        report = verified(document, office.trust(), None, clock=FixedClock(NOW), language="zh")
        for each in (*report.findings, *(one for seal in report.seals for one in seal.findings)):
            seen |= {each.code} if each.detail else set()
            assert CHINESE.search(each.sentence) and detail(each.facts, "zh") == each.detail
            assert set(LATIN.findall(each.detail)) <= {*TERMS, *LATIN.findall(values_of(each.facts))}, each
    assert {"CHANGED_AFTER_SEALING", "FORM_FILLED_LATER", "FILLING_UNPROVEN", "SIGNED_LATER"} <= seen


def test_facts_from_the_sandbox_are_those_of_the_catalogue() -> None:
    deep = fact("at_place", what=fact("named", name="x"), page=1, rectangle="0 0 1 1")
    for bad in (
        Fact("own words"),
        Fact("named"),
        Fact("named", {"name": "x", "more": "y"}),
        Fact("part_changed", {"part": Fact("own words")}),
        Fact("part_changed", {"part": Fact("part_changed", {"part": Fact("part_changed", {"part": Fact("part_form")})})}),
    ):
        assert known_facts([bad, deep]) == [deep]
    (cleaned,) = known_facts([Fact("named", {"name": "a\u202eb\x1b" + "x" * 1000})])
    assert len(str(cleaned.values["name"])) <= NAME_LIMIT and not {"\u202e", "\x1b"} & set(str(cleaned.values["name"]))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_in_its_language_why_it_took_no_file(language: str) -> None:
    for code in (Code.DOCUMENT_TOO_LARGE, Code.OVERLOADED, Code.DEADLINE_EXCEEDED, Code.INVALID_ARGUMENT, Code.SERVICE_UNAVAILABLE):
        reason, way_out = refusal(language, code, limit="20")
        assert ("20" in reason) == (code is Code.DOCUMENT_TOO_LARGE)
        assert bool(CHINESE.search(reason)) == bool(CHINESE.search(way_out)) == (language == "zh")
