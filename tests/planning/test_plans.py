"""A plan is judged whole: every fault at once, with its line and a way out, before anything is made."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hsm_config import inventory
from vermilion import planning
from vermilion.planning.drawing import draw
from vermilion.planning.examples import DEMO, FOLDER
from vermilion.planning.faults import Fault, PlanError
from vermilion.planning.lines import Lines
from vermilion.planning.model import Client, Person, Plan, Seal, Unit, organization_identifier
from vermilion.planning.reading import Judged, load, read
from vermilion.state import keyring, toml
from vermilion.state.layout import Layout
from vermilion.state.office import AddressPlan, Office

EXAMPLE = Path(planning.__file__).with_name("example.toml")
OFFICES = [EXAMPLE, *sorted((FOLDER / "offices").glob("*.toml"))]
SMALL = FOLDER / "offices" / "kivirand.toml"


def judged(plan: str) -> Judged:
    return read(plan.encode(), "office.toml", resolves=lambda _host: None)


def faulty(plan: str) -> dict[str, tuple[int, Fault]]:
    """Where → line and fault; where two are at one place, the first."""
    with pytest.raises(PlanError) as refused:
        judged(plan)
    found: dict[str, tuple[int, Fault]] = {}
    for line, fault in refused.value.faults:
        found.setdefault(fault.where, (line, fault))
    return found


def changed(old: str, new: str) -> str:
    text = SMALL.read_text("utf-8")
    assert text.count(old) == 1, old
    return text.replace(old, new)


def line_of(plan: str, words: str) -> int:
    """Of the last line with these words."""
    return max(number for number, line in enumerate(plan.splitlines(), 1) if words in line)


@pytest.mark.parametrize("file", OFFICES, ids=lambda file: file.stem)
def test_the_examples_are_plans(file: Path) -> None:
    plan = load(file).plan
    office = draw(plan)
    assert [seal.algorithm for seal in office.seals] == [seal.algorithm for seal in plan.seals]
    ids = [*(seal.id for seal in office.seals), *(person.id for person in office.people), *office.clients.values()]
    assert len(set(ids)) == len(plan.seals) + len(plan.people) + len(plan.clients)


def test_the_demos_office_has_the_keys_that_it_always_had() -> None:
    assert keyring.office_inventory(draw(load(DEMO).plan)) == inventory.load()


def test_an_office_keeps_what_its_plan_says(tmp_path: Path) -> None:
    layout, office = Layout.at(tmp_path), draw(load(SMALL).plan)
    office.save(layout)
    assert Office.load(layout) == office
    assert (office.country, office.registration_number, office.register_quorum) == ("EE", "NTREE-10000000", 1)
    assert [(one.label, one.quorum, one.resume_quorum, one.grant_quorum) for one in office.seals] == [
        ("seal.contract.1", 1, 1, 1),
        ("seal.invoice.1", 0, 1, 1),
    ]
    declared = inventory.load(keyring.write_inventory(layout, office))
    assert [(key.label, key.algorithm) for key in declared.keys_of("signer")] == [
        ("seal.contract.1", "rsa-3072"),
        ("seal.invoice.1", "p-256"),
        ("tsa.signer.1", "p-256"),
    ]


OLD = """\
name = "澄江文衡科技有限公司"
name_english = "Chengjiang Wenheng Technology Co., Ltd."
slug = "wenheng"
unit = "OFFICE"
clock = "trust-machine"
ports = { signer = 8701, ca_http = 8703, ocsp = 8710 }
clients = { demo-backend = "01a22dc6-cc5d-74cf-b7b0-e3cc1853ae0b" }

[[seals]]
id = "01a22dc6-cc5d-74cf-b7b0-e3cc1853ae0c"
label = "seal.contract.1"
kind = "contract"
caption = "合同专用章"
number = "3205810117342"
quorum = 2
resume_quorum = 2
certification = "form-fill"
"""


def test_an_office_from_before_plans_is_what_it_was(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    layout.office_file.write_text(OLD, "utf-8")
    office = Office.load(layout)
    assert (office.country, office.registration_number, office.register_quorum) == ("CN", "", 2)
    assert [(one.code, one.name) for one in office.units] == [("DEMO", "Demonstration"), ("OFFICE", office.name_english)]
    assert office.client_units == {"demo-backend": ("DEMO",)}
    assert office.public_url("authority", "ca_http") == "http://127.0.0.1:8703"
    (key,) = [key for key in keyring.office_inventory(office).keys_of("signer") if key.label.startswith("seal.")]
    assert key == inventory.load().declaration("signer", "seal.contract.1")
    assert office.seals[0].grant_quorum == 2
    office.save(layout)
    assert Office.load(layout) == office


def test_a_seal_without_algorithm_that_nobody_declares_is_refused() -> None:
    office = Office.model_validate(tomllib.loads(OLD.replace("seal.contract.1", "seal.finance.1")))
    with pytest.raises(Exception, match="names no algorithm"):
        keyring.office_inventory(office)


@pytest.mark.parametrize(
    ("old", "new", "where", "words"),
    [
        ('country = "EE"', 'country = "UK"', "country", ("no country “UK”", "ISO 3166-1")),
        ('country = "EE"', 'contry = "EE"', "contry", ("contry", "is country meant?")),
        ('country = "EE"', "", "country", ("missing", "ISO 3166-1")),
        ('kind = "invoice"', 'kind = "invoices"', "seals[2].kind", ("“invoices”", "is invoice meant?")),
        ('algorithm = "rsa-3072"', 'algorithm = "ed25519"', "seals[1].algorithm", ("“ed25519”", "rsa-2048")),
        ('roles = ["applicant"]', 'roles = ["aplicant"]', "people[2].roles[1]", ("“aplicant”", "is applicant meant?")),
        ('roles = ["applicant"]', 'roles = ["auditor", "applicant"]', "people[2].roles", ("Jaan Õunapuu", "separate")),
        ('roles = ["applicant"]', 'roles = ["applicant", "applicant"]', "people[2].roles", ("twice",)),
        ('roles = ["applicant"]', 'roles = ["applicant"]\nunit = "EM"', "people[2].unit", ("no unit EM", "KR")),
        ('name = "bookkeeping"', 'name = "bookkeeping"\nunits = ["KR", "EM"]', "clients[1].units", ("no unit EM",)),
        ('name = "bookkeeping"', 'name = "Signer"', "clients[1].name", ("office's own",)),
        ('name = "bookkeeping"', 'name = "../etc"', "clients[1].name", ("“../etc”", "letters, digits")),
        ('name = "Jaan Õunapuu"', 'name = "MARI Kivirand"', "people[2].name", ("already", "people[1].name")),
        ('name = "Jaan Õunapuu"', 'name = "Jaan\\u200bÕunapuu"', "people[2].name", ("U+200B",)),
        ("register_quorum = 1", "register_quorum = 2", "register_quorum", ("asks for 2 approvers, and there are 1",)),
        ("quorum = 0", "quorum = 3", "seals[2].quorum", ("asks for 3",)),
        ("quorum = 0", 'quorum = "0"', "seals[2].quorum", ("“0”", "0 to")),
        ("quorum = 0", "quorum = true", "seals[2].quorum", ("true",)),
        ("quorum = 0", "quorum = -1", "seals[2].quorum", ("-1",)),
        ('roles = ["approver", "officer"]', 'roles = ["officer"]', "register_quorum", ("no approver",)),
        ('roles = ["approver", "officer"]', 'roles = ["approver"]', "people", ("no officer", "stop a seal")),
        ('number = "KR-2"', 'number = "KR-1"', "seals[2].number", ("seals[1].number",)),
        ('caption = "ARVED"', 'caption = "\u0e43\u0e1a"', "seals[2].caption", ("no character", "font")),
        ('caption = "ARVED"', 'language = "et"', "seals[2].language", ("“et”", "[names]")),
        ('registration_number = "10000000"', 'registration_number = "VATZZ-1"', "registration_number", ("ZZ",)),
        ('registration_number = "10000000"', 'registration_number = "LEIXG-529900T8BM49AURSDO56"', "registration_number", ("LEI",)),
        ('caption = "ARVED"', 'caption = "АRVED"', "seals[2].caption", ("Cyrillic",)),
        ('caption = "ARVED"', f'caption = "{"A" * 61}"', "seals[2].caption", ("at most 60",)),
        ('registration_number = "10000000"', 'registration_number = "1\\u202e"', "registration_number", ("U+202E",)),
        ('short_name = "kivirand"', 'short_name = "Kivi rand"', "short_name", ("“Kivi rand”",)),
        ('name = "Kivirand Raamatupidamine OÜ"', f'name = "{"K" * 61}"', "name", ("more than 60", "ring")),
        ('name = "Kivirand Raamatupidamine OÜ"', f'name = "{"K" * 65}"', "name", ("at most 64",)),
    ],
)
def test_each_fault_is_told_with_its_line_and_a_way_out(old: str, new: str, where: str, words: tuple[str, ...]) -> None:
    plan = changed(old, new)
    line, fault = faulty(plan)[where]
    said = f"{fault.what} {fault.way_out}"
    assert all(word in said for word in words), said
    last = new.rsplit("\n", maxsplit=1)[-1]
    if last and where.rpartition(".")[2].partition("[")[0] in last:
        assert line == line_of(plan, last)


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    plan = changed('country = "EE"', 'country = "XX"')
    for old, new in (
        ("register_quorum = 1", "register_quorum = 9"),
        ('roles = ["applicant"]', 'roles = ["aplicant"]'),
        ('kind = "contract"', 'kind = "contrakt"'),
        ('algorithm = "p-256"', 'algorithm = "p-255"'),
        ('name = "bookkeeping"', 'name = "ca"'),
    ):
        plan = plan.replace(old, new)
    with pytest.raises(PlanError) as refused:
        judged(plan)
    lines = [line for line, _ in refused.value.faults]
    assert lines == sorted(lines) and len(lines) == 6
    assert "6 faults in office.toml" in refused.value.reason


def test_seals_of_one_kind_are_told_apart_by_what_is_on_them() -> None:
    second = '\n[[seals]]\nkind = "contract"\nalgorithm = "p-256"\nquorum = 1\ncaption = "{}"\n'
    assert "seals[3].kind" in faulty(SMALL.read_text("utf-8") + second.format("LEPINGUD"))
    office = draw(judged(SMALL.read_text("utf-8") + second.format("TÖÖLEPINGUD")).plan)
    assert [seal.label for seal in office.seals] == ["seal.contract.1", "seal.invoice.1", "seal.contract.2"]


def test_a_seal_may_bear_the_name_in_another_language() -> None:
    office = draw(judged(changed('caption = "ARVED"', 'caption = "ARVED"\nlanguage = "ru"')).plan)
    assert [seal.name for seal in office.seals] == ["", "Кивиранд Бухгалтерия"]


def test_what_may_not_be_meant_is_a_warning_and_refuses_nothing() -> None:
    def away(host: str) -> object:
        if host == "crl.kivirand.example":
            raise OSError("no such host")
        return None

    plan = changed("register_quorum = 1", "register_quorum = 1") + '\n[addresses]\nauthority = "http://crl.kivirand.example/pki"\n'
    found = {fault.where: (line, fault) for line, fault in read(plan.encode(), "office.toml", resolves=away).warnings}
    assert found["addresses.authority"][0] == line_of(plan, "crl.kivirand.example")
    assert "crl.kivirand.example" in found["addresses.authority"][1].what
    assert "seals[2].quorum" in found


def test_an_applicant_who_is_the_only_approver_is_pointed_out() -> None:
    plan = changed('roles = ["approver", "officer"]', 'roles = ["applicant", "approver", "officer"]').replace(
        'name = "Jaan Õunapuu"\nroles = ["applicant"]', 'name = "Jaan Õunapuu"\nroles = ["auditor"]'
    )
    assert any("only approvers may apply" in fault.what for _, fault in judged(plan).warnings)


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b'name = "A"\ncountry = EE\n', 2, "TOML"),
        (b'name = "A"\nname = "B"\n', 1, ""),
        (b'name = "\xff"\n', 1, "UTF-8"),
        (b"", 1, "missing"),
        (b"seals = 3\n" + b"[" * 5000, 2, ""),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(content: bytes, line: int, words: str) -> None:
    with pytest.raises(PlanError) as refused:
        read(content, "office.toml")
    assert any(words in f"{fault.what} {fault.way_out}" for _, fault in refused.value.faults)
    assert refused.value.faults[0][0] in (line, line + 1)


def test_windows_line_ends_and_tables_of_several_lines_keep_their_lines() -> None:
    plan = changed('roles = ["approver", "officer"]', 'roles = [\n  "approver",\n  "oficer",\n]').replace("quorum = 0", "quorum = 9")
    lines = {where: line for where, (line, _) in faulty(plan.replace("\n", "\r\n")).items()}
    assert lines["people[1].roles[2]"] == line_of(plan.partition('"approver",')[0], "roles = [")
    assert lines["seals[2].quorum"] == line_of(plan, "quorum = 9")


def test_numbers_of_registers_are_written_as_the_standard_writes_them() -> None:
    assert organization_identifier("EE", "10000000") == "NTREE-10000000"
    assert organization_identifier("DE", "HRB 12345") == "NTRDE-HRB 12345"
    assert organization_identifier("EE", "VATEE-100931558") == "VATEE-100931558"
    assert organization_identifier("FI", "OV:FI-1234") == "OV:FI-1234"
    assert organization_identifier("CN", None) == ""


def test_addresses_are_public_ones_or_where_the_service_listens() -> None:
    office = draw(load(SMALL).plan).model_copy(update={"addresses": AddressPlan(ocsp="http://ocsp.kivirand.example/")})
    assert office.public_url("ocsp", "ocsp") == "http://ocsp.kivirand.example"
    assert office.public_url("authority", "ca_http").startswith("http://127.0.0.1:")
    assert toml.dump(office.model_dump(mode="json")).count("kivirand.example") == 1


def test_the_commented_plan_names_all_that_there_is_and_every_comment_of_a_setting_fits() -> None:
    def every(values: object) -> set[str]:
        if isinstance(values, dict):
            return {*values, *(name for value in values.values() for name in every(value))}
        return {name for value in values for name in every(value)} if isinstance(values, list) else set()

    text = EXAMPLE.read_text("utf-8")
    assert not judged(text).warnings
    lines = [line.removeprefix("# ") if re.match(r"# (\[|[a-z_]+ = )", line) else line for line in text.splitlines()]
    whole = "\n".join(line for line in lines if "LEIXG" not in line)
    found = every(tomllib.loads(whole))
    assert judged(whole).plan.clients[0].units == ["OFFICE"]
    for block in (Plan, Unit, Person, Seal, Client, AddressPlan):
        assert set(block.model_fields) <= found, block


def test_a_blank_caption_is_none() -> None:
    assert draw(judged(changed('caption = "ARVED"', 'caption = "  "')).plan).seals[1].caption == ""


def test_where_services_listen_is_an_address_and_a_port_that_there_is() -> None:
    plan = SMALL.read_text("utf-8") + '\n[addresses.listen]\nverify = "0.0.0.0"\nverfy = "::"\nocsp = "localhost"\n'
    found = faulty(plan)
    assert set(found) == {"addresses.listen.verfy", "addresses.listen.ocsp"}
    assert found["addresses.listen.ocsp"][0] == line_of(plan, "localhost")


def test_a_long_value_is_read_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = changed('roles = ["applicant"]', "roles = [\n" + '  "applicant",\n' * 5000 + "]")
    asked: list[int] = []
    loads = tomllib.loads

    def counted(text: str) -> dict[str, Any]:
        asked.append(len(text))
        return loads(text)

    monkeypatch.setattr("vermilion.planning.lines.tomllib.loads", counted)
    assert Lines(plan).of(("seals", 1, "quorum")) == line_of(plan, "quorum = 0")
    assert sum(asked) < 4 * len(plan)
