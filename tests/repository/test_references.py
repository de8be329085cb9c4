"""Whatever code and docs refer to is there: files, sections, decisions, modules and names, what is to be made and typed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.repository.following import RULES, Rule
from tests.repository.references import Module, Passage, Repository
from vermilion.services import SERVICES


@pytest.fixture(scope="module")
def repository() -> Repository:
    """This work tree."""
    return Repository(REPOSITORY, without=Path(__file__).relative_to(REPOSITORY).as_posix())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_references_resolve(repository: Repository, rule: Rule) -> None:
    missing = [f"{passage.path}:{passage.line}: {what}" for passage in repository.passages for what in rule(repository, passage)]
    assert not missing, "\n" + "\n".join(missing)


BROKEN = {
    "links": ["[page](docs/gone.md)", "[page](docs/protocol.md#gone)", "[here](#gone)", '<img src="docs/images/gone.png">'],
    "documents": [
        "see docs/gone.md",
        "see gone.md",
        'docs/protocol.md, "Gone"',
        'protocol.md "Gone"',
        "docs/protocol.md#gone",
        "../docs/gone.md",
        'docs/protocol.md, "Use", step 9',
    ],
    "decisions": ["ADR 9999", "ADR 0999", "docs/adr/0999-gone.md"],
    "documents_of_others": ['PROTOCOL "Use"', "as DESIGN.md says", "VISUAL 12", "REQUIREMENTS U8", "STYLE"],
    "invariants": ["never a downgrade (I9)"],
    "paths": [
        "signer/gone/",
        "the tests in tests/gone/test_gone.py",
        "`gone.py`",
        "`signer/gone.toml`",
        "`readback_gone.py`",
        "docs/{protocol,gone}.md",
    ],
    "names": [
        "`signer.gone`",
        "`sealcore.errors.Gone`",
        "`sealcore.errors.gone()`",
        "`GONE_CODE`",
        "`gone_setting`",
        "``GoneClass``",
        "`tls.gone_s`",
    ],
    "targets": ["`make gone`", "`make crash GONE=1`", "```\nmake gone   # x\n```"],
    "modules": ["`python -m signer.gone`", "    python -m ca.gone --config x"],
    "commands": [
        *["`vermilion gone`", "`vermilion seals gone`", "`vermilion seals stop|gone`", "`vermilion seal --gone`", "`seals gone`"],
        *["```\n.venv/bin/vermilion ledger gone FILE\n```", "    vermilion ca gone", "`vermilion seals quorum SEAL --gone 2`"],
    ],
}
SOUND = (
    '[a](docs/protocol.md#leaf-and-manifest) docs/protocol.md, "Use", step 4; ADR 16 (I5) signer/ tests/repository/test_references.py `errors.py`'
    " `sealcore.errors.Code` `TOKEN_EXPIRED` `CKM_ECDSA` `make crash KILLS=10` `vermilion seals suspend SEAL` `vermilion_rpc_calls` `grpc.StatusCode`"
    " `python -m ca.ceremony restored` `tests/repository/test_*.py`\n```\nmake test T=tests/ca\nvermilion seal FOLDER --out OUT   # text\n```\n"
)


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule in RULES for text in BROKEN[rule.__name__]])
def test_a_reference_that_leads_nowhere_is_found(repository: Repository, rule: Rule, text: str) -> None:
    assert list(rule(repository, Passage("README.md", 1, f"Look: {text}" if text[0] not in " `" else f"\n{text}\n", prose=True)))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_sound_reference_is_let_be(repository: Repository, rule: Rule) -> None:
    assert not list(rule(repository, Passage("README.md", 1, SOUND, prose=True)))


def test_what_is_prose_is_told_from_what_is_code() -> None:
    module = Module.read(
        '"""A `first`."""\n# and a `second`\nx = "# no `third`"  # a `fourth`\ndef f():\n    "`fifth`"\n    return f"made_up_{x}"\n'
    )
    assert {word for _, text in module.prose for word in re.findall("`(.*?)`", text)} == {"first", "second", "fourth", "fifth"}
    assert [line for line, _ in module.prose] == [1, 5, 2, 3]
    assert "third" in module.words
    assert not module.words & {"first", "second", "fourth", "fifth"}
    assert module.made == [r"made_up_\w+"]


def test_protobuf_is_known_where_the_architecture_says(repository: Repository) -> None:
    section = re.search(r"### Where protobuf is known\n(.*?)\n## ", repository.files["docs/architecture.md"], re.DOTALL)
    assert section
    places = re.findall(r"`(\w[\w/]*(?:/|\.py))`", section[1])
    using = {
        path
        for path, text in repository.files.items()
        if path.endswith(".py") and re.search(r"^(from|import) protos\b", text, re.MULTILINE)
    }
    using = {path for path in using if not path.startswith(("protos/", "tests/"))}
    assert not [path for path in using if not any(path == place or (place.endswith("/") and path.startswith(place)) for place in places)]
    assert not [place for place in places if not any(path.startswith(place) for path in using)]


def test_the_architecture_has_a_row_for_each_service(repository: Repository) -> None:
    section = re.search(r"## Processes, keys and databases\n(.*?)\n## ", repository.files["docs/architecture.md"], re.DOTALL)
    assert section
    assert set(re.findall(r"^\| (\w+) \|", section[1], re.MULTILINE)) - {"process"} == {service.name for service in SERVICES}


def test_the_architecture_names_the_rooms_within_each_room(repository: Repository) -> None:
    section = repository.section("docs/architecture.md", "The rooms")
    for room, text in re.findall(r"^\| `([\w/]+)/` \| (.*) \|$", section, re.MULTILINE):
        named = set(re.findall(r"`(\w+)/`", text))
        assert {
            name for name in named if not any(path.startswith(f"{room}/") and f"/{name}/" in path for path in repository.files)
        } == set(), room
        within = {
            path.split("/")[1]
            for path in repository.files
            if path.startswith(f"{room}/") and path.endswith("/__init__.py") and path.count("/") == 2
        }
        if "/" not in room and room not in {"tests", "protos", "sealcore", "migrations"}:
            assert within <= named, room


def test_how_to_add_an_algorithm_names_every_file_that_knows_one(repository: Repository) -> None:
    section = re.search(r"### An algorithm of keys\n(.*?)\n### ", repository.files["CONTRIBUTING.md"], re.DOTALL)
    assert section
    knowing = {path for path, module in repository.modules.items() if {"P384", "SECP384R1"} & module.words}
    knowing |= {path for path, text in repository.files.items() if path.endswith(".toml") and '"p-384"' in text}
    assert not [path for path in knowing if not path.startswith(("tests/", "benchmarks/")) and f"`{path}`" not in section[1]]
