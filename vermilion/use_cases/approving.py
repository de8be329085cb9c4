"""A person decides on a form at the command line, after looking at the very files (docs/protocol.md, "Decision")."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sealcore.errors import Code, VermilionError
from sealcore.protocol.canonical import b64url_decode
from sealcore.protocol.covers import ActCovers, ManifestCovers
from sealcore.protocol.decision import Decision, DecisionContext
from sealcore.protocol.json_objects import context_from_json, placement_from_json
from sealcore.protocol.manifest import DocumentEntry, Manifest
from vermilion.client.documents import below
from vermilion.remote.workflow_client import WorkflowClient
from vermilion.use_cases.people_token import PeopleToken

READ_BYTES = 1024 * 1024


def context_of(form: Mapping[str, Any]) -> DecisionContext:
    """What every decision on this form is signed over."""
    return context_from_json(form["context"])


def named_files(form: Mapping[str, Any]) -> frozenset[str]:
    """The files (lower hex of their SHA-256) that the act of a form names in what would be signed."""
    covers = context_of(form).covers
    values = [covers.parameters.get(name, []) for name in ("pictures", "picture", "pdf")] if isinstance(covers, ActCovers) else []
    return frozenset(str(one) for value in values for one in (value if isinstance(value, list) else [value]))


def decide(
    workflow: WorkflowClient, token: PeopleToken, form: Mapping[str, Any], *, person: str, verdict: str, now: datetime, reason: str = ""
) -> Any:
    """Signs a person's verdict on exactly this form and hands it in; the workflow's refusals come back typed."""
    decision: Decision = token.decide(context_of(form), person, verdict, now)
    return workflow.decide(form["number"], decision, reason)


@dataclass(frozen=True)
class Compared:
    """What a local look at the files found: how many were compared, and the root that they add up to."""

    documents: int
    root: bytes


def compare(form: Mapping[str, Any], documents: Sequence[Mapping[str, Any]], folder: Path) -> Compared:
    """Recomputes the form's root from the files in ``folder``.

    Raises DOCUMENT_MISMATCH naming the first file that is not there or not the same, and PROOF_INVALID when the documents that the
    workflow shows do not add up to the root that would be signed.
    """
    context = context_of(form)
    if not isinstance(context.covers, ManifestCovers):
        raise VermilionError(Code.INVALID_ARGUMENT, "this form names no documents; there is nothing to compare a folder with")
    present = _hashes(folder)
    entries = [_entry(document, present, folder) for document in documents]
    if not entries:
        raise VermilionError(Code.PROOF_INVALID, "the workflow shows no documents for a form that covers some")
    manifest = Manifest.build(entries, salts=[b64url_decode(document["salt"], Code.PROOF_INVALID) for document in documents])
    if manifest.covers != context.covers:
        raise VermilionError(Code.PROOF_INVALID, "the files do not add up to what would be signed; do not approve this form")
    return Compared(manifest.size, manifest.root)


def _entry(document: Mapping[str, Any], present: Mapping[bytes, Path], folder: Path) -> DocumentEntry:
    digest = bytes.fromhex(document["sha256"])
    path = present.get(digest)
    if path is None:
        state = "differs from" if (folder / Path(document["name"]).name).is_file() else "does not hold"
        raise VermilionError(Code.DOCUMENT_MISMATCH, f"the folder {state} what the form names", document=document["name"])
    return DocumentEntry(document["name"], digest, path.stat().st_size, placement_from_json(document["placement"]))


def _hashes(folder: Path) -> dict[bytes, Path]:
    if not folder.is_dir():
        raise VermilionError(Code.FILE_UNUSABLE, f"{folder} is not a folder")
    return {_sha256(path): path for path in below(folder)}


def _sha256(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.digest()
