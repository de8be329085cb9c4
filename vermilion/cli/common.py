"""What the commands share: their common options, and how people and seals are named by whoever types."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509

from protos.vermilion.v1 import signer_pb2
from sealcore import pem
from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.protocol.effect_model import CERTIFICATIONS
from sealcore.protocol.leaf import Certification
from vermilion.messages import hints, text
from vermilion.remote.signer_client import SignerClient
from vermilion.remote.workflow_client import WorkflowClient
from vermilion.state import office as offices
from vermilion.state.layout import DEFAULT_STATE, Layout
from vermilion.state.office import Office
from vermilion.terminal import say


def _about(state: Path) -> Path:
    hints.about(None if state == DEFAULT_STATE else state)
    return state


State = Annotated[Path, typer.Option("--state", help=text("option.state"), show_default=True, callback=_about)]
AsJson = Annotated[bool, typer.Option("--json", help=text("option.json"))]
As = Annotated[str, typer.Option("--as", metavar="PERSON", help=text("option.as"))]
Several = Annotated[list[str] | None, typer.Option("--as", metavar="PERSON", help=text("option.as_several"))]
Ports = Annotated[int | None, typer.Option("--ports-from", min=1024, max=32000, metavar="PORT", help=text("option.ports"))]
Reason = Annotated[str, typer.Option("--reason", help=text("option.reason"))]

DEFAULT = DEFAULT_STATE


@dataclass(frozen=True)
class Here:
    """An office on this machine."""

    layout: Layout
    office: Office

    def workflow(self, identity: str = "operator") -> WorkflowClient:
        """The workflow, as this identity."""
        return WorkflowClient(self.layout, self.office, identity=identity)

    def signer(self) -> SignerClient:
        """The signer's register, as the operator."""
        return SignerClient(self.layout, self.office)


def report(key: str) -> None:
    """Says which step of a ceremony begins."""
    say(f"ceremony.{key}", "quiet")


def require_free(out: Path | None) -> None:
    """That a file can be made: said before anything is done, as nothing that is there is replaced. CONFLICT, FILE_UNUSABLE, STORAGE_FULL."""
    if out is None:
        return
    if is_there(out):
        raise VermilionError(Code.CONFLICT, f"{out} is there already; nothing is replaced: choose another --out, or move it away")
    require_writable(out.parent)


def is_there(path: Path) -> bool:
    """Whether something has this name, if only a link that leads nowhere. FILE_UNUSABLE where that cannot be told."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as fault:
        raise durable.unusable(fault, path) from None
    return True


def require_writable(folder: Path) -> Path:
    """The folder for results, made with its parents, after a file in it could be begun. FILE_UNUSABLE, STORAGE_FULL."""
    try:
        durable.make_folder(folder.absolute())
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as fault:
        raise durable.unusable(fault, folder) from None


def here(state: Path) -> Here:
    """The office in ``state``; CONFIGURATION_INVALID with the way out when there is none."""
    layout = Layout.at(state)
    if not layout.ready:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"there is no finished office in {state}; make one with `vermilion init`")
    return Here(*offices.find(state))


def certification(word: str) -> str:
    """What a certification (none, final, form-fill) means for a sealed file, in words."""
    return CERTIFICATIONS[Certification.of_word(word)]


def find_person(workflow: WorkflowClient, name_or_id: str) -> Any:
    """A person by id or full name; NOT_FOUND, or CONFLICT when two bear the name."""
    return among(workflow.people(), name_or_id)


def among(found: Sequence[Any], name_or_id: str) -> Any:
    """One of these people by id or full name; NOT_FOUND, or CONFLICT when two bear the name."""
    matching = [person for person in found if name_or_id in (person["id"], person["name"])]
    if not matching:
        raise VermilionError(Code.NOT_FOUND, f"there is no person {name_or_id!r}; see `vermilion people list`")
    if len(matching) > 1:
        raise VermilionError(Code.CONFLICT, f"{len(matching)} people are called {name_or_id!r}; use the id")
    return matching[0]


def read_file(path: Path) -> bytes:
    """A file that the command was given; FILE_UNUSABLE."""
    try:
        return path.read_bytes()
    except OSError as fault:
        raise durable.unusable(fault, path) from None


def read_certificates(path: Path) -> list[x509.Certificate]:
    """The certificates in a file, the first for the key in question; FILE_UNUSABLE, INVALID_ARGUMENT."""
    try:
        return pem.certificates(read_file(path))
    except pem.EncodingError as fault:
        raise VermilionError(Code.INVALID_ARGUMENT, f"{path} {fault}") from None


def find_seal(signer: SignerClient, kind_or_id: str) -> signer_pb2.SealRecord:
    """A seal by id, kind, or the name in its certificate, which is what stands below its star; SEAL_UNKNOWN, CONFLICT.

    A retired one is meant by its id, or where no other has the name.
    """
    return among_seals(signer.seals(), kind_or_id)


def among_seals(found: Sequence[signer_pb2.SealRecord], kind_or_id: str) -> signer_pb2.SealRecord:
    """One of these seals, as ``find_seal``."""
    matching = [seal for seal in found if kind_or_id in (seal.id, seal.kind, seal_name(seal))]
    matching = [seal for seal in matching if seal.state != "retired" or seal.id == kind_or_id] or matching
    if not matching:
        raise VermilionError(Code.SEAL_UNKNOWN, f"there is no seal {kind_or_id!r}; see `vermilion seals list`")
    if len(matching) > 1:
        choice = ", ".join(f"{seal_name(seal)} ({seal.id})" for seal in matching)
        raise VermilionError(Code.CONFLICT, f"{len(matching)} seals are called {kind_or_id!r}; name one by its name or id: {choice}")
    return matching[0]


def seal_name(seal: signer_pb2.SealRecord) -> str:
    """The common name in a seal's certificate."""
    names = x509.load_der_x509_certificate(seal.certificate).subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""
