"""The parts of an effect (``sealcore.protocol.effect``): facts with old and new values, and the register as the reader knows it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sealcore.protocol.leaf import Certification

Value = str | int | None
UNTEMPLATED = "grant-untemplated"  # a seal's rule for grants without a template; without it, its rule for sealing counts
CERTIFICATIONS: Mapping[Certification, str] = {
    Certification.NONE: "this seal certifies nothing: unless the document is certified already, anybody may add to the sealed file",
    Certification.FINAL: "final: nothing may be added after the seal",
    Certification.FORM_FILL: "form-fill: others may sign and fill in after the seal",
}


@dataclass(frozen=True)
class KnownSeal:
    """A seal of the signer's register; ``quorum`` by action, pictures as lower hex of their SHA-256, ``certificate`` DER."""

    name: str
    kind: str
    state: str
    quorum: Mapping[str, int]
    content_policy: str = ""
    pictures: frozenset[str] = frozenset()
    certificate: bytes = b""
    certification: Certification | None = None


@dataclass(frozen=True)
class KnownPerson:
    """A person of the signer's register."""

    roles: frozenset[str]
    active: bool


@dataclass(frozen=True)
class Known:
    """The signer's register as the reader knows it, and what the workflow alone knows, which nobody signed.

    names     what its directory calls people
    policies  its policies by id: the newest version and how many persons that asks for
    """

    seals: Mapping[str, KnownSeal] = field(default_factory=dict)
    people: Mapping[str, KnownPerson] = field(default_factory=dict)
    register_quorum: int | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    policies: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def seal(self, seal_id: str) -> str:
        """A seal as people call it."""
        seal = self.seals.get(seal_id)
        return f"“{seal.name}” ({seal.kind}, {seal.state}, {seal_id})" if seal else seal_id

    def person(self, person_id: str) -> str:
        """A person by id, and what the directory calls them."""
        name = self.names.get(person_id)
        return f"{person_id} (“{name}” in the workflow's directory)" if name else person_id

    def namesakes(self, person_id: str) -> str:
        """Who else, among those who may decide, is called in the directory as this person is; empty where nobody is."""
        # Without regard to case and shape, since people read them alike.
        called = {one: unicodedata.normalize("NFKC", name).casefold() for one, name in self.names.items()}
        same = [one for one, name in called.items() if one != person_id and name == called.get(person_id)]
        return ", ".join(sorted(one for one in same if one in self.people and self.people[one].active))


@dataclass(frozen=True)
class Fact:
    """One thing that changes: a stable name, the value before and after (None: there is none), and a line of words."""

    name: str
    before: Value
    after: Value
    words: str


@dataclass(frozen=True)
class Effect:
    """What an approval brings about: its kind, one sentence, and every fact."""

    kind: str
    words: str
    facts: tuple[Fact, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For reports and REST."""
        return {"kind": self.kind, "words": self.words, "facts": [vars(fact) for fact in self.facts]}
