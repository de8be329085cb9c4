"""The rules of references: each takes a passage and yields what it names and is not there."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any, Final

from typer.main import get_command

from tests.repository.references import (
    ADR,
    DOCUMENT,
    ELSEWHERE,
    FENCE,
    INVARIANT,
    LINK,
    MAKE,
    MODULE,
    SOURCES,
    SPAN,
    WORD,
    Passage,
    Repository,
    anchor,
)
from vermilion.cli.program import app

ARCHITECTURE: Final = "docs/architecture.md"
# Names of standards that no code of ours has to spell: PKCS#11; RFC 3161 §2.4; RFC 5280 §4.2.1.9, §5.1.2.4; X.509 §9.5.2.8.
STANDARD: Final = re.compile(
    r"CK[AFMRU]_\w+|badAlg|badRequest|badDataFormat|timeNotAvailable|unacceptedPolicy|unacceptedExtension|systemFailure|certReq"
    r"|pathLenConstraint|thisUpdate|expiredCertsOnCRL"
)
Rule = Callable[[Repository, Passage], Iterator[str]]


def links(repository: Repository, passage: Passage) -> Iterator[str]:
    """Links in Markdown, with their anchors."""
    if not passage.path.endswith(".md"):
        return
    for groups in LINK.findall(FENCE.sub("", passage.text)):
        target, _, fragment = "".join(groups).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = _resolved(repository, passage.path, target) if target else passage.path
        if path is None:
            yield target
        elif fragment and fragment not in map(anchor, repository.headings.get(path, [])):
            yield f"{path}#{fragment}"


def documents(repository: Repository, passage: Passage) -> Iterator[str]:
    """Documents by name, with a section and a step of its list: `docs/protocol.md, "Use", step 4`."""
    for name, fragment, section, step in DOCUMENT.findall(passage.text):
        path = _resolved(repository, passage.path, name)
        if path is None:
            yield name
        elif fragment and fragment not in map(anchor, repository.headings[path]):
            yield f"{name}#{fragment}"
        elif section and section not in repository.headings[path]:
            yield f'{name}, "{section}"'
        elif step and not re.search(rf"^{step}\. ", repository.section(path, section), re.MULTILINE):
            yield f'{name}, "{section}", step {step}'


def decisions(repository: Repository, passage: Passage) -> Iterator[str]:
    """Decisions by number."""
    for first, second in ADR.findall(passage.text):
        if not any(name.startswith(f"{int(first or second):04}-") for name in repository.names):
            yield f"ADR {first or second}"


def documents_of_others(_repository: Repository, passage: Passage) -> Iterator[str]:
    """Documents that are not ours have no name here."""
    if passage.prose:
        yield from ELSEWHERE.findall(passage.text)


def invariants(repository: Repository, passage: Passage) -> Iterator[str]:
    """Invariants by number."""
    if passage.prose:
        for number in INVARIANT.findall(passage.text):
            if f"**I{number}**" not in repository.files[ARCHITECTURE]:
                yield f"I{number}"


def paths(repository: Repository, passage: Passage) -> Iterator[str]:
    """Paths that begin with a folder of ours, wherever in prose; and files in backticks by their last part."""
    if not passage.prose:
        return
    rooms = "|".join(sorted(repository.rooms))
    for found in re.findall(rf"(?<![\w/.<-])((?:{rooms})/[\w./*{{}},-]*[\w*/}}])", passage.text):
        if not all(map(repository.has_path, _alternatives(found))) and not (
            PurePosixPath(found).suffix and repository.says(PurePosixPath(found).name)
        ):
            yield found
    for span in _spans(passage):
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)*", span) and PurePosixPath(span).suffix in SOURCES:
            name = PurePosixPath(span).name
            there = any(path == span or path.endswith(f"/{span}") for path in repository.files)
            if not there and (name.endswith((".py", ".md")) or not repository.says(name)):
                yield span


def names(repository: Repository, passage: Passage) -> Iterator[str]:
    """Dotted names of our modules in backticks, and words of code in backticks. Other programs' command lines are theirs."""
    if not passage.prose:
        return
    for span in _spans(passage):
        if " -" in span or _is_installed(span):
            continue
        dotted = re.fullmatch(r"(\w+(?:\.\w+)+)(?:\(.*\))?", span)
        if dotted and dotted[1].split(".")[0] in repository.rooms and PurePosixPath(dotted[1]).suffix not in SOURCES:
            if not repository.has_name(dotted[1]) and not repository.says(dotted[1]):
                yield span
            continue
        for word in WORD.findall(span):
            if not (repository.has_word(word) or STANDARD.fullmatch(word) or re.fullmatch(r"[A-Z]+|\w{1,2}", word)):
                yield f"{word} in `{span}`"


def targets(repository: Repository, passage: Passage) -> Iterator[str]:
    """What is to be made, with its variables."""
    for command in _commands(passage):
        for target, variables in MAKE.findall(command):
            for name in [target, *re.findall(r"([A-Z]+)=", variables)]:
                if name not in repository.targets:
                    yield f"make {name}"


def modules(repository: Repository, passage: Passage) -> Iterator[str]:
    """Programs that are started by their module."""
    for command in _commands(passage):
        for module in MODULE.findall(command):
            if module.split(".")[0] in repository.rooms and not repository.has_name(module):
                yield f"python -m {module}"


def commands(_repository: Repository, passage: Passage) -> Iterator[str]:
    """Commands of the program with their options."""
    root = _program()
    for text in _commands(passage):
        for line in text.splitlines():
            words = re.sub(r"^(\$ )?(\S*/)?vermilion(?= )", "vermilion", line.strip()).split(" #")[0].split()
            if not words:
                continue
            if words[0] in _children(root) and len(words) > 1 and _children(_children(root)[words[0]]):
                words = ["vermilion", *words]  # a group's command, named without the program
            elif words[0] != "vermilion":
                continue
            yield from (f"{' '.join(words)}: {fault}" for fault in _unknown(root, words[1:]))


RULES: Final[tuple[Rule, ...]] = (
    links,
    documents,
    decisions,
    documents_of_others,
    invariants,
    paths,
    names,
    targets,
    modules,
    commands,
)


def _unknown(command: Any, words: list[str]) -> Iterator[str]:
    """What a command line says that the program does not have. Words in capitals, dots and quotes stand for anything."""
    for position, word in enumerate(words):
        if word.startswith("-"):
            break
        below = _children(command)
        if not below or not re.fullmatch(r"[a-z][a-z-]*(\|[a-z-]+)*", word):
            if below and position == 0 and re.fullmatch(r"[a-z].*", word):
                yield word
            break
        alternatives = word.split("|")
        yield from (each for each in alternatives if each not in below)
        if alternatives[0] not in below:
            return
        command = below[alternatives[0]]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help", "-h"}
    if not _children(command):
        yield from (option for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", " ".join(words)) if option not in known)


def _is_installed(dotted: str) -> bool:
    """Whether this is a name in a library that we use."""
    first, *rest = dotted.split(".")
    found: Any = sys.modules.get(first)
    for each in rest:
        found = getattr(found, each, None)
    return bool(rest) and found is not None


@cache
def _program() -> Any:
    return get_command(app)


def _children(command: Any) -> dict[str, Any]:
    return getattr(command, "commands", {})


def _spans(passage: Passage) -> list[str]:
    return ["".join(groups) for groups in SPAN.findall(FENCE.sub("", passage.text))]


def _commands(passage: Passage) -> list[str]:
    """What may be typed: all in backticks, and in a document what stands in blocks of code."""
    blocks = FENCE.findall(passage.text) if passage.path.endswith(".md") else []
    indented = re.findall(r"^ {4}(\S.*)$", passage.text, re.MULTILINE) if passage.path.endswith(".md") else []
    return [*_spans(passage), *(block.strip("`\n") for block in blocks), *indented]


def _resolved(repository: Repository, path: str, target: str) -> str | None:
    """The path of what a text in ``path`` names: relative to its folder, to the root, or among the documents."""
    for folder in (PurePosixPath(path).parent, PurePosixPath(), PurePosixPath("docs")):
        parts: list[str] = []
        for part in (folder / target).parts:
            if part == "..":
                parts = parts[:-1]
            else:
                parts.append(part)
        if "/".join(parts) in repository.paths:
            return "/".join(parts)
    return None


def _alternatives(path: str) -> list[str]:
    """`a/{b,c}` as `a/b` and `a/c`."""
    braces = re.fullmatch(r"(.*)\{(.*)\}(.*)", path)
    return [f"{braces[1]}{each.strip()}{braces[3]}" for each in braces[2].split(",")] if braces else [path]
