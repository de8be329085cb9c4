"""Each package with a service stands wherever packages are listed: a new one must not lie outside of what holds for all."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

import pytest

from tests.conftest import REPOSITORY
from vermilion.services import SERVICES

PACKAGES: Final = frozenset(service.module.split(".")[0] for service in SERVICES)
EXCEPT: Final = {  # the signer uses the token maker, the sandbox the signer's reader of documents
    "What verifies shares no code with what signed; only the signer uses the token maker": {"signer", "sandbox", "timestamp"},
}
PROJECT: Final[dict[str, Any]] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["tool"]
CONTRACTS: Final = PROJECT["importlinter"]["contracts"]


def _listing() -> dict[str, set[str]]:
    """The contracts that hold for services as such: they name most of them, while one about a room names its modules."""
    sources = {one["name"]: set(one.get("source_modules", [])) for one in CONTRACTS}
    return {name: listed for name, listed in sources.items() if len(listed & PACKAGES) > len(PACKAGES) / 2}


def _packages() -> dict[str, set[str]]:
    (layers,) = [one["layers"] for one in CONTRACTS if one["type"] == "layers" and "containers" not in one]
    (made,) = re.findall(r"^PACKAGES := (.*)$", (REPOSITORY / "Makefile").read_text("utf-8"), re.MULTILINE)
    return {
        "Makefile PACKAGES": set(made.split()),
        "import-linter's root_packages": set(PROJECT["importlinter"]["root_packages"]),
        "import-linter's layers": {name.strip() for layer in layers for name in layer.split("|")},
        "mypy's packages": set(PROJECT["mypy"]["packages"]),
        "setuptools' packages.find": set(PROJECT["setuptools"]["packages"]["find"]["include"]),
    }


def test_contracts_that_list_services_are_found() -> None:
    assert len(_listing()) >= 4 and EXCEPT.keys() <= _listing().keys()


@pytest.mark.parametrize("name", sorted(_listing()))
def test_a_contract_that_lists_services_lists_all(name: str) -> None:
    assert _listing()[name] >= PACKAGES - EXCEPT.get(name, set())


@pytest.mark.parametrize("place", sorted(_packages()))
def test_every_service_is_built_typed_and_held_to_the_layers(place: str) -> None:
    assert _packages()[place] >= PACKAGES
