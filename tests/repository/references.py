"""Follows references: whatever code and docs name of this repository, and whether it is there.

Prose is all of a document in Markdown, and the docstrings and comments of Python. Other files are searched for paths and commands alone.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final, TypeGuard

SOURCES: Final = frozenset(
    {".py", ".proto", ".toml", ".sh", ".yml", ".json", ".html", ".css", ".js", ".service", ".java", ".md", ".xml", ".c", ".mako"}
)
WORD: Final = re.compile(r"[^\W\d]\w*")
SPAN: Final = re.compile(r"``([^`\n]+)``|(?<!`)`([^`\n]+)`(?!`)")
COMMENTS: Final = re.compile(r"(?:^[ ]*#.*\n?)+|[ ]{2}# .*$", re.MULTILINE)
FENCE: Final = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
DOCUMENT: Final = re.compile(r'(?<![\w/.-])((?:[\w.-]+/)*[\w-]+\.md)\b(?:#([\w-]+)|,? (?:section )?"([^"]+)"(?:, step (\d+))?)?')
LINK: Final = re.compile(r"""\]\(([^)\s]+)\)|(?:src|href)="([^"]+)\"""")
ADR: Final = re.compile(r"\bADRs? (\d+)|\badr/(\d+)")
ELSEWHERE: Final = re.compile(r"\b(PROTOCOL|DESIGN|VISUAL|REQUIREMENTS|STYLE)\b")  # documents have their file's name
INVARIANT: Final = re.compile(r"\bI(\d+)\b")
MAKE: Final = re.compile(r"^(?:\$ )?make ([\w-]+)((?: [A-Z]+=\S+)*)", re.MULTILINE)
MODULE: Final = re.compile(r"\bpython3? -m ([\w.]+)")


@dataclass(frozen=True)
class Passage:
    """A piece of text, where it begins, and whether it is prose: whether what it names in backticks has to be there."""

    path: str
    line: int
    text: str
    prose: bool


@dataclass(frozen=True)
class Module:
    """A Python file: its docstrings and comments with their lines, the words of its code, and the names that it puts together."""

    prose: list[tuple[int, str]]
    words: set[str]
    made: list[str]

    @classmethod
    def read(cls, text: str) -> Module:
        """Reads the text of a Python file."""
        nodes = list(ast.walk(ast.parse(text)))
        docstrings = [node.body[0].value for node in nodes if _is_documented(node) and isinstance(node.body[0], ast.Expr)]
        prose = [(each.lineno, str(each.value)) for each in docstrings if isinstance(each, ast.Constant)]
        for comment in COMMENTS.finditer(text):
            prose.append((text.count("\n", 0, comment.start()) + 1, re.sub(r"^\s*# ?", "", comment[0], flags=re.MULTILINE)))
        words = {word for node in set(nodes) - set(docstrings) for word in _words(node)}
        made = [_made(node) for node in nodes if isinstance(node, ast.JoinedStr)]
        return cls(prose, words, [each for each in made if re.match(r"[a-z]{4,}_", each)])


@dataclass(frozen=True)
class Repository:
    """A work tree, and what can be named of it."""

    root: Path
    without: str = ""  # a file that speaks of what is not there

    @cached_property
    def files(self) -> dict[str, str]:
        """Text of every source file that is tracked or new, by its path."""
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=self.root, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        named = [path for path in listed if PurePosixPath(path).suffix in SOURCES or PurePosixPath(path).name == "Makefile"]
        return {path: (self.root / path).read_text("utf-8") for path in named if (self.root / path).is_file() and path != self.without}

    @cached_property
    def paths(self) -> frozenset[str]:
        """Every file and folder, by its path."""
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=self.root, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        kept = [PurePosixPath(path) for path in listed if (self.root / path).exists()]
        return frozenset({str(path) for path in kept} | {str(folder) for path in kept for folder in path.parents})

    @cached_property
    def names(self) -> frozenset[str]:
        """The last parts of all paths."""
        return frozenset(PurePosixPath(path).name for path in self.paths)

    @cached_property
    def rooms(self) -> frozenset[str]:
        """The top-level folders."""
        return frozenset(path.split("/")[0] for path in self.paths if "/" in path and not path.startswith("."))

    @cached_property
    def modules(self) -> dict[str, Module]:
        """Our Python files, read."""
        return {path: Module.read(text) for path, text in self.files.items() if path.endswith(".py") and not path.startswith("protos/")}

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word that stands in code: not in a docstring, a comment or a document."""
        found = {PurePosixPath(path).stem for path in self.paths}
        for module in self.modules.values():
            found |= module.words
        for path, text in self.files.items():
            if path not in self.modules and not path.endswith(".md"):
                found.update(WORD.findall(text))
        return frozenset(found)

    def has_word(self, word: str) -> bool:
        """Whether a word stands in code, or is put together there: `vermilion_{door}_calls`."""
        return word in self.words or any(re.fullmatch(made, word) for module in self.modules.values() for made in module.made)

    @cached_property
    def headings(self) -> dict[str, list[str]]:
        """The headings of each document, and what bold words begin its list items."""
        return {path: _headings(text) for path, text in self.files.items() if path.endswith(".md")}

    def section(self, path: str, heading: str) -> str:
        """The text under a heading of a document."""
        found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", self.files[path], re.DOTALL | re.MULTILINE)
        return found[1] if found else ""

    @cached_property
    def targets(self) -> frozenset[str]:
        """What there is to make, and the variables that one may set."""
        makefile = self.files["Makefile"]
        return frozenset(re.findall(r"^([\w-]+):(?!=)", makefile, re.MULTILINE)) | frozenset(
            re.findall(r"^(\w+) \?=", makefile, re.MULTILINE)
        )

    @cached_property
    def passages(self) -> list[Passage]:
        """All text that may name something."""
        found = [Passage(path, line, text, prose=True) for path, module in self.modules.items() for line, text in module.prose]
        return found + [Passage(path, 1, text, prose=path.endswith(".md")) for path, text in self.files.items()]

    def has_path(self, path: str) -> bool:
        """Whether there is such a file or folder; `*` stands for any part."""
        path = path.rstrip("/.")
        return (
            path in self.paths
            or ("*" in path and any(PurePosixPath(each).match(path) for each in self.paths))
            or f"{path}.py" in self.paths
        )

    def says(self, text: str) -> bool:
        """Whether code has this text in a value: a label, or the name of a file that comes about while it runs."""
        return any(text in source for path, source in self.files.items() if not path.endswith((".md", ".lock")))

    def _words_of(self, path: str) -> set[str]:
        return self.modules[path].words if path in self.modules else set(WORD.findall(self.files[path]))

    def has_name(self, dotted: str) -> bool:
        """Whether a dotted name is a module of ours, or a name that a module of ours defines or hands on."""
        parts = dotted.split(".")
        for end in range(len(parts), 0, -1):
            for path in ("/".join(parts[:end]) + ".py", "/".join(parts[:end]) + "/__init__.py"):
                if path in self.files:
                    return self._words_of(path) >= set(parts[end:])
        return "/".join(parts) in self.paths


def anchor(heading: str) -> str:
    """The anchor of a heading, as the common renderers make it."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower()).replace(" ", "-")


def _headings(text: str) -> list[str]:
    return [heading.strip() for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)]


def _is_documented(node: ast.AST) -> TypeGuard[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    return (
        isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node, clean=False) is not None
    )


def _words(node: ast.AST) -> Iterator[str]:
    for value in vars(node).values():
        if isinstance(value, str | bytes):
            yield from WORD.findall(value if isinstance(value, str) else value.decode("latin-1"))


def _made(node: ast.JoinedStr) -> str:
    return "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"\w+" for part in node.values)
