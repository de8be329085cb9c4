"""Paths that people type: whatever is there, or is not, a command says so by a code, names the path, and leaves everything as it was."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

import vermilion.cli
import vermilion.cli.program
from tests.cli.running import RunningOffice
from vermilion import exits
from vermilion.demo.report import MARKER
from vermilion.planning.examples import DEMO
from vermilion.use_cases import placing

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAM = (sys.executable, "-c", "from vermilion.cli import main; main()")
KEPT = b"not to be lost"
PATH = "{path}"
CAPSET, VERSION_3, OVERRIDES = 126, 0x20080522, 0b110  # linux/capability.h: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH

Made = Mapping[str, Path]
FILES = ("missing", "folder", "closed", "below_a_file", "locked", "in_locked", "dangling", "circle", "control", "no_text", "empty", "long")
FOLDERS = ("missing", "file", "closed", "below_a_file", "locked", "in_locked", "dangling", "circle", "control", "no_text", "empty", "long")
FEW = ("missing", "closed", "circle", "control")  # where another command goes the same way
NEW_FILES = (
    "folder",
    "closed",
    "file",
    "below_a_file",
    "in_locked",
    "dangling",
    "circle",
    "control",
    "no_text",
    "empty",
    "long",
    "no_place",
)
NEW_FOLDERS = ("file", "closed", "below_a_file", "in_locked", "dangling", "circle", "control", "no_text", "empty", "long", "no_place")
STATES = ("file", "closed", "below_a_file", "in_locked", "dangling", "circle", "control", "no_text", "empty", "long")

TYPED: Mapping[tuple[str, str], tuple[tuple[str, ...], tuple[str, ...]]] = {
    ("init", "plan"): (("init", "--plan", PATH, "--state", "{free}"), FILES),
    ("seal", "files"): (("seal", PATH, "--out", "{free}", "--wait", "0"), FILES),
    ("seal", "out"): (("seal", "{document}", "--out", PATH, "--wait", "0"), NEW_FOLDERS),
    ("verify", "files"): (("verify", PATH), ("folder", "in_locked", "long")),  # the others are in tests/cli/test_office.py
    ("extend", "files"): (("extend", PATH), tuple(each for each in FILES if each != "folder")),  # a folder may be empty
    ("extend", "out"): (("extend", "{document}", "--out", PATH), NEW_FOLDERS),
    ("extend", "trust"): (("extend", "{document}", "--trust", PATH), FEW),
    ("demo", "documents"): (("demo", "--documents", PATH, "--out", "{free}", "--state", "{file}"), FOLDERS),
    ("demo", "out"): (("demo", "--out", PATH, "--state", "{file}"), NEW_FOLDERS),
    ("witness", "config"): (("witness", "--config", PATH), ("missing", "locked", "control")),
    ("forms attachments", "out"): (("forms", "attachments", "{form}", "--out", PATH), ("file", "closed", "dangling", "no_place")),
    ("forms approve", "folder"): (("forms", "approve", "{form}", "--as", "Wei Chen", "--folder", PATH), FOLDERS),
    ("seals picture", "file"): (("seals", "picture", "contract", PATH), FILES),
    ("seals add", "certificate"): (
        ("seals", "add", "invoice", "--label", "{label}", "--certificate", PATH, "--picture", "{document}"),
        FEW,
    ),
    ("seals add", "pictures"): (
        ("seals", "add", "invoice", "--label", "{label}", "--certificate", "{file}", "--picture", PATH),
        FEW,
    ),
    ("issuers add", "file"): (("issuers", "add", PATH), FEW),
    ("templates add", "file"): (("templates", "add", PATH), FEW),
    ("clients add", "out"): (("clients", "add", "paths", "--out", PATH), NEW_FOLDERS),
    ("clients renew", "folder"): (("clients", "renew", PATH), FOLDERS),
    ("ca issue", "request"): (("ca", "issue", PATH, "--profile", "client"), FEW),
    ("ca issue", "out"): (
        ("ca", "issue", "--label", "{label}", "--name", "Paths", "--out", PATH),
        ("folder", "closed", "file", "dangling"),
    ),
    ("ca show", "serial"): (("ca", "show", PATH), FILES),
    ("ca request", "out"): (("ca", "request", "--label", "{label}", "--out", PATH), NEW_FILES),
    ("ca import", "chain"): (("ca", "import", PATH, "--label", "{label}"), FEW),
    ("ca revoke", "which"): (("ca", "revoke", PATH, "--reason", "superseded"), FEW),
    ("ca hold", "which"): (("ca", "hold", PATH), FEW),
    ("ca release", "which"): (("ca", "release", PATH), FEW),
    ("ca crl", "out"): (("ca", "crl", "seals", "--out", PATH), NEW_FILES),
    ("ca chain", "file"): (("ca", "chain", PATH), FEW),
    ("ledger check", "log"): (("ledger", "check", "--log", PATH), ("missing", "file", "closed", "circle")),
    ("ledger show", "what"): (("ledger", "show", PATH), FEW),
}
NAMES_BY_PATHS = ("SERIAL|FILE", "FORM|FILE", "URL|FOLDER")


@contextmanager
def without_override() -> Iterator[None]:
    """The rights of files count for this thread, as they do for anybody who is not root."""
    libc = ctypes.CDLL(None, use_errno=True)
    status = Path("/proc/thread-self/status").read_text()
    effective, permitted, inheritable = (int(status.split(f"Cap{name}:\t")[1].split("\n")[0], 16) for name in ("Eff", "Prm", "Inh"))

    def become(value: int) -> None:
        words = [part for shift in (0, 32) for part in ((each >> shift) & 0xFFFFFFFF for each in (value, permitted, inheritable))]
        header, data = (ctypes.c_uint32 * 2)(VERSION_3, 0), (ctypes.c_uint32 * 6)(*words)
        assert libc.syscall(CAPSET, header, data) == 0, os.strerror(ctypes.get_errno())

    become(effective & ~OVERRIDES)
    try:
        yield
    finally:
        become(effective)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    """What may be where a path leads."""
    places = {
        name: tmp_path / file
        for name, file in (
            *(
                ("missing", "missing.pdf"),
                ("folder", "folder"),
                ("closed", "locked"),
                ("file", "plain.txt"),
                ("below_a_file", "plain.txt/x.pdf"),
            ),
            *(("locked", "locked.pdf"), ("in_locked", "locked/x.pdf"), ("dangling", "dangling.pdf"), ("circle", "circle.pdf")),
            *(("control", "a\x1b[31m\n\u202eb.pdf"), ("no_text", os.fsdecode(b"\xff\xfe.pdf")), ("empty", "empty.pdf")),
            *(("long", "x" * 300 + ".pdf"), ("free", "free/deep")),
        )
    }
    places["no_place"] = Path("/proc/nowhere/x.pdf")
    places["folder"].mkdir()
    places["in_locked"].parent.mkdir()
    places["dangling"].symlink_to(tmp_path / "nowhere" / "at-all")
    places["circle"].symlink_to(places["circle"])
    for name in ("file", "locked", "control", "no_text"):
        places[name].write_bytes(KEPT)
    places["empty"].touch()
    places["locked"].chmod(0)
    places["in_locked"].parent.chmod(0)
    yield places
    places["in_locked"].parent.chmod(0o700)


@pytest.fixture
def _handlers() -> Iterator[None]:
    """Some commands settle what signals do; here they run in the tests' own process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def form(office: RunningOffice, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A form with a document, undecided."""
    out = tmp_path_factory.mktemp("paths") / "out"
    done = office.run("seal", _document(), "--out", out, "--wait", "0")
    assert done.returncode == exits.UNAVAILABLE, done.stderr
    return str(office.json("forms", "list")[0]["number"])


@pytest.fixture(scope="module")
def label(office: RunningOffice) -> str:
    return office.office.seals[0].label


def _document() -> Path:
    return sorted((EXAMPLES / "documents").glob("*.pdf"))[0]


def _commands() -> dict[str, list[typer.core.TyperOption | typer.core.TyperArgument]]:
    def walk(command: object, name: str) -> Iterator[tuple[str, object]]:
        for part, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, f"{name} {part}".strip())
        if not hasattr(command, "commands"):
            yield name, command

    return {name: command.params for name, command in walk(typer.main.get_command(vermilion.cli.program.app), "")}  # type: ignore[attr-defined]


def _is_path(parameter: typer.core.TyperOption | typer.core.TyperArgument) -> bool:
    described = getattr(parameter, "type_descriptor", None)
    return "Path" in str(getattr(described, "annotation", "")) or parameter.metavar in NAMES_BY_PATHS


def test_every_path_that_a_command_takes_is_tried_here() -> None:
    taken = {(name, one.name) for name, parameters in _commands().items() for one in parameters if _is_path(one)}
    assert {each for each in taken if each[1] != "state"} == set(TYPED)


def _is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, said = _run(arguments, capsys)
    told = f"{arguments}\n{said}"
    assert code not in (exits.DONE, exits.INTERNAL), told
    assert not [word for word in ("INTERNAL", "Traceback", "SERVICE_UNAVAILABLE") if word in said], told
    assert "\x1b[31m" not in said and "\u202e" not in said, told


def _run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and standard error. A service settles where logs go, so it gets a process of its own."""
    with without_override():
        if arguments[0] == "witness":
            done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, errors="surrogateescape", check=False)
            return done.returncode, done.stderr
        capsys.readouterr()
        return vermilion.cli.run(arguments), capsys.readouterr().err


def _unharmed(made: Made) -> None:
    for name in ("file", "locked", "control", "no_text"):
        assert made[name].read_bytes() == KEPT
    assert made["empty"].read_bytes() == b""
    assert list(made["folder"].iterdir()) == []
    assert made["dangling"].is_symlink() and made["circle"].is_symlink()
    top = made["file"].parent
    assert not [each for each in top.rglob(".*") if each.name != MARKER], "unfinished files are left"


@pytest.fixture
def values(office: RunningOffice, form: str, label: str, made: Made) -> dict[str, object]:
    """What the typed words stand for."""
    return {**made, "document": _document(), "form": form, "label": label, "office": office.layout.state, "plan": DEMO}


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize(("command", "parameter", "kind"), [(*key, kind) for key, (_, kinds) in TYPED.items() for kind in kinds])
def test_what_cannot_be_read_or_written_is_said(
    command: str, parameter: str, kind: str, *, values: dict[str, object], made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    typed, _ = TYPED[command, parameter]
    arguments = [each.format(path=made[kind], **values) for each in typed]
    if "--state" not in arguments:
        arguments += ["--state", str(values["office"])]
    _is_said(arguments, capsys)
    _unharmed(made)


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("kind", STATES)
@pytest.mark.parametrize("typed", ["init --plan {plan}", "up", "demo --out {free}", "doctor", "seals list", "keys list", "extend {file}"])
def test_a_state_folder_that_is_none_is_said(
    typed: str, kind: str, values: dict[str, object], made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    _is_said([*(each.format(**values) for each in typed.split()), "--state", str(made[kind])], capsys)
    _unharmed(made)


@pytest.mark.parametrize("command", ["ca crl seals", "ca request --label {label}", "clients add full", "seal {document} --wait 0"])
def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    command: str, values: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, limits = tmp_path / "out" / "made.pem", resource.getrlimit(resource.RLIMIT_FSIZE)
    out.parent.mkdir()
    arguments = [*(each.format(**values) for each in command.split()), "--out", str(out), "--state", str(values["office"])]
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        code = vermilion.cli.run(arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capsys.readouterr().err
    assert code == exits.UNAVAILABLE and "STORAGE_FULL" in said, said
    assert [each for each in out.parent.rglob("*") if each.is_file()] == []


def test_a_plan_lies_beside_the_folder_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "papers").mkdir()
    monkeypatch.chdir(tmp_path / "papers")
    assert placing.load(Path()) == placing.load(Path("/")) == {}
    (tmp_path / "papers.toml").write_text('["a.pdf"]\nseals = []\n')
    assert set(placing.load(Path())) == set(placing.load(Path("../papers"))) == {"a.pdf"}
