"""Names of files are strangers' words: whatever they hold, the terminal is told no order and no line is forged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealcore.text import shown, unreadable
from tests.cli.running import RunningOffice
from tests.conftest import EXAMPLES
from vermilion import exits
from vermilion.terminal import console, pairs

NAMES = (
    b"a\x1b[2Jb.pdf", b"a\xc2\x9b31mb.pdf", "a\u202efdp.exe.pdf".encode(), "a\u200bb.pdf".encode(), "a\u2028b.pdf".encode(), b"a\xff\xfeb.pdf",
    b"a\n\xe2\x9c\x93 valid.pdf", b"[red]a[bold].pdf",
)  # fmt: skip


def unseen(text: str) -> list[str]:
    return [line for line in text.split("\n") if unreadable(line) is not None]


def test_files_with_any_name_are_sealed_verified_and_shown_as_what_they_are(office: RunningOffice, tmp_path: Path) -> None:
    papers = tmp_path / "papers"
    papers.mkdir()
    for name in NAMES:
        (papers / os.fsdecode(name)).write_bytes((EXAMPLES / "invoice.pdf").read_bytes())
    files = sorted(papers.iterdir())
    applied = office.run("seal", papers, "--seal", "invoice", "--wait", "0", "--out", tmp_path / "out")
    number = next(word for word in applied.stdout.split() if word.startswith("DEMO-"))
    said = [applied, office.run("forms", "show", number), office.run("forms", "list")]
    said += [office.run("verify", *files), office.run("verify", *files, "--json"), office.run("extend", *files)]
    said += [office.run("verify", tmp_path / os.fsdecode(b"not\x1bthere\xff.pdf"))]
    for done in said:
        printed = done.stdout + done.stderr
        assert "Traceback" not in printed
        assert "INTERNAL" not in printed, printed
        assert unseen(printed) == []
        assert not any(line.startswith("✓ valid") for line in printed.splitlines()), "a line end in a name forges no line"
    names = {one["name"] for one in office.json("forms", "show", number)["documents"]}
    assert names == {shown(os.fsdecode(name)) for name in NAMES}
    assert {"a<U+202E>fdp.exe.pdf", "a<byte FF><byte FE>b.pdf", "a<U+000A>✓ valid.pdf", "[red]a[bold].pdf"} <= names
    assert office.run("forms", "reject", number, "--as", "Chen Rui", "--reason", "a trial").returncode == exits.DONE


def test_everything_printed_is_cleaned_at_the_last_border(capsys: pytest.CaptureFixture[str]) -> None:
    out = console()
    out.print("a\x1b]0;title\x07b", style="bold")
    out.print(pairs([("who", "Hanna\u202e\nforged")]))
    printed = capsys.readouterr().out
    assert unseen(printed) == []
    assert "<U+001B>]0;title" in printed
    assert "\x07" not in printed
    assert "Hanna<U+202E><U+000A>forged" in printed
