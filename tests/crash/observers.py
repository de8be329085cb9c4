"""The counting afterwards, by those who were not part of it: the client's journal, the published tiles, the HSM's own counters.

Nothing here asks the signer. Each finding names the promise that was broken; none is what the harness is about.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from asn1crypto import cms, tsp

from ledger.check import check
from sealcore.errors import Code
from sealcore.platform.ledger.reader import LogReader
from sealcore.platform.ledger.sources import FolderSource
from sealcore.protocol import merkle
from sealcore.protocol.ledger_entry import Entry, entry_hash, jti_hash, signature_hash
from sealcore.protocol.signed_note import SignedCheckpoint, VerifierKey, verify_log
from tests.hsm.wrapping import Signatures

_CONTENTS: Final = re.compile(rb"/Contents\s*<([0-9A-Fa-f]+)>")


@dataclass(frozen=True)
class Finding:
    """A broken promise, and where."""

    promise: str
    detail: str


@dataclass(frozen=True)
class Batch:
    """Which uses of a token must have their end in the ledger; ``void`` are those that a stop ended, with the entry ``stopped_at``."""

    jti: str
    indexes: frozenset[int]
    void: frozenset[int] = frozenset()
    stopped_at: int | None = None


@dataclass(frozen=True)
class Counted:
    """What was counted, and every broken promise."""

    entries: int
    released: int
    repeated: int
    attempts: Mapping[str, int]
    signatures: Mapping[str, Signatures]
    most_attempts: int
    checkpoints: int
    findings: Sequence[Finding]


@dataclass(frozen=True)
class Release:
    """One answer that reached the client with bytes."""

    stream: int
    jti: str
    index: int
    ledger_index: int
    attempts: int
    repeated: bool
    suffix: str
    fits: bool
    committed: bool
    at: int
    length: int


class Observers:
    """Over one office's folder of evidence.

    seal_keys   label of each seal key → SHA-256 of its public key, as entries name it
    seen        checkpoints as a passer-by saw them published, in order
    """

    def __init__(self, journal: Path, received: Path, public: Path, key: VerifierKey, seal_keys: Mapping[str, bytes]) -> None:
        self._facts = [json.loads(line) for line in journal.read_bytes().splitlines()]
        self._received = received.read_bytes()
        self._public, self._key, self._seal_keys = public, key, seal_keys
        self._findings: list[Finding] = []

    def count(self, batches: Sequence[Batch], seen: Sequence[bytes], signatures: Mapping[str, Signatures]) -> Counted:
        """Everything, once."""
        entries = self._entries(seen)
        releases = [
            Release(**{name: fact[name] for name in Release.__dataclass_fields__}) for fact in self._facts if fact["what"] == "released"
        ]
        self._nothing_unforeseen()
        self._one_answer_each()
        self._same_bytes(releases)
        self._each_release_has_its_entry(releases, entries)
        self._each_document_once(batches, releases, entries)
        self._nothing_after_a_stop(batches, entries)
        attempts = self._attempts(entries)
        for label, sum_ in attempts.items():
            begun = signatures.get(label, Signatures(0, 0, 0)).begun
            if begun > sum_:
                self._find("HSM calls ≤ Σ attempts", f"{label}: {begun} calls, {sum_} attempts")
        return Counted(
            len(entries), len(releases), sum(one.repeated for one in releases), attempts,
            {label: signatures[label] for label in attempts if label in signatures},
            max((entry.attempts or 0 for entry in entries), default=0), len(set(seen)), tuple(dict.fromkeys(self._findings)),
        )  # fmt: skip

    # --- the log, as a stranger reads it

    def _entries(self, seen: Sequence[bytes]) -> list[Entry]:
        for finding in check(self._public, self._key).findings:
            self._find("the published log fits together", f"{finding.place}: {finding.problem}")
        reader = LogReader(FolderSource(self._public), self._key)
        size = reader.update().size
        data = [one for _, one in reader.entries(0, size)]
        self._checkpoints_continue(seen, data)
        return [Entry.decode(one) for one in data]

    def _checkpoints_continue(self, seen: Sequence[bytes], data: Sequence[bytes]) -> None:
        """Every checkpoint that was ever shown is a beginning of the log as it is now."""
        roots: dict[int, bytes] = {}
        for note in dict.fromkeys(seen):
            signed = SignedCheckpoint.parse(note)
            verify_log(signed, self._key)
            roots[signed.checkpoint.size] = signed.checkpoint.root
        frontier = merkle.Frontier()
        for size in sorted(roots):
            if size > len(data):
                self._find("a checkpoint seen once stays true", f"one over {size} entries was seen, now there are {len(data)}")
                return
            frontier = frontier.extend(map(entry_hash, data[frontier.size : size]))
            if frontier.root() != roots[size]:
                self._find("a checkpoint seen once stays true", f"the first {size} entries are others now")
                return

    # --- the journal against the log

    def _nothing_unforeseen(self) -> None:
        for fact in self._facts:
            if fact["what"] in ("refused", "end") and fact["code"] == Code.INTERNAL:
                self._find("a crash is never an unforeseen fault elsewhere", f"stream {fact['stream']}: {fact['reason']}")

    def _one_answer_each(self) -> None:
        answered = Counter((fact["stream"], fact["index"]) for fact in self._facts if fact["what"] in ("released", "refused"))
        sent: Counter[tuple[int, int]] = Counter()
        for fact in self._facts:
            if fact["what"] == "sent":
                sent.update((fact["stream"], index) for index in fact["indexes"])
        for (stream, index), count in answered.items():
            if count > sent[stream, index]:
                self._find("one result for each item", f"stream {stream}, index {index}: {count} results")
        whole = {fact["stream"] for fact in self._facts if fact["what"] == "end" and fact["code"] == "OK"}
        for (stream, index), count in sent.items():
            if stream in whole and answered[stream, index] < count:
                self._find("one result for each item", f"stream {stream} ended well, but index {index} has no result")

    def _same_bytes(self, releases: Sequence[Release]) -> None:
        bytes_of: dict[tuple[str, int], set[str]] = defaultdict(set)
        for one in releases:
            bytes_of[one.jti, one.index].add(one.suffix)
            if not one.fits:
                self._find("sealed document = document ‖ suffix", f"{one.jti}/{one.index}")
        for use, suffixes in bytes_of.items():
            if len(suffixes) > 1:
                self._find("no use is released twice with other bytes", f"{use[0]}/{use[1]}: {len(suffixes)} different ones")

    def _each_release_has_its_entry(self, releases: Sequence[Release], entries: Sequence[Entry]) -> None:
        for one in releases:
            if not one.committed:
                self._find("nothing leaves before its entry is durable", f"{one.jti}/{one.index}, entry {one.ledger_index}")
        for one in {(one.jti, one.index, one.suffix): one for one in releases}.values():
            expected = signature_hash(signature_of(self._received[one.at : one.at + one.length]))
            entry = entries[one.ledger_index] if one.ledger_index < len(entries) else None
            fits = (
                entry is not None
                and (entry.kind, entry.jti_hash, entry.index) == ("seal", jti_hash(one.jti), one.index)
                and (entry.signature_hash, entry.attempts) == (expected, one.attempts)
            )
            if not fits:
                self._find("each released document has its entry", f"{one.jti}/{one.index}, entry {one.ledger_index}")

    def _each_document_once(self, batches: Sequence[Batch], releases: Sequence[Release], entries: Sequence[Entry]) -> None:
        ends: dict[tuple[bytes, int], list[str]] = defaultdict(list)
        for entry in entries:
            if entry.jti_hash is not None and entry.index is not None and entry.kind in ("seal", "void"):
                ends[entry.jti_hash, entry.index].append(entry.kind)
        got = {(one.jti, one.index) for one in releases}
        for batch in batches:
            for index in sorted(batch.indexes):
                end = ends.pop((jti_hash(batch.jti), index), [])
                expected = ["void"] if index in batch.void else ["seal"]
                if end != expected:
                    self._find("every document of a batch is sealed once", f"{batch.jti}/{index}: {end or 'no entry'}")
                if index not in batch.void and (batch.jti, index) not in got:
                    self._find("every document of a batch is sealed once", f"{batch.jti}/{index}: never released")
        for _, index in ends:
            self._find("every document of a batch is sealed once", f"an entry for index {index} of a token that nobody sent")

    def _nothing_after_a_stop(self, batches: Sequence[Batch], entries: Sequence[Entry]) -> None:
        for batch in batches:
            if batch.stopped_at is not None:
                for entry in entries[batch.stopped_at :]:
                    if entry.kind == "seal" and entry.jti_hash == jti_hash(batch.jti):
                        self._find("nothing is sealed after a stop", f"{batch.jti}/{entry.index}")

    def _attempts(self, entries: Sequence[Entry]) -> dict[str, int]:
        labels = {spki: label for label, spki in self._seal_keys.items()}
        sums: Counter[str] = Counter()
        for entry in entries:
            if entry.kind in ("seal", "void") and entry.spki_sha256 is not None:
                sums[labels[entry.spki_sha256]] += entry.attempts or 0
        return dict(sums)

    def _find(self, promise: str, detail: str) -> None:
        self._findings.append(Finding(promise, detail))


def signature_of(suffix: bytes) -> bytes:
    """The signature value in the CMS of the last signature of this update."""
    value: bytes = _signer_info(suffix)["signature"].native
    return value


def gen_time(suffix: bytes) -> datetime:
    """The time in its timestamp."""
    (token,) = [one for one in _signer_info(suffix)["unsigned_attrs"] if one["type"].native == "signature_time_stamp_token"]
    time: datetime = tsp.TSTInfo.load(bytes(token["values"][0]["content"]["encap_content_info"]["content"]))["gen_time"].native
    return time


def _signer_info(suffix: bytes) -> Any:
    (contents,) = _CONTENTS.findall(suffix)[-1:]
    content: Any = cms.ContentInfo.load(bytes.fromhex(contents.decode()))
    return content["content"]["signer_infos"][0]


def released_files(
    journal: Path, received: Path, documents: Mapping[tuple[str, int], bytes], dice: random.Random, count: int
) -> Iterator[bytes]:
    """Some sealed documents as the client has them: its own bytes, and behind them what it got."""
    facts = [json.loads(line) for line in journal.read_bytes().splitlines()]
    releases = [fact for fact in facts if fact["what"] == "released" and (fact["jti"], fact["index"]) in documents]
    with received.open("rb") as file:
        for fact in dice.sample(releases, min(count, len(releases))):
            file.seek(fact["at"])
            yield documents[fact["jti"], fact["index"]] + file.read(fact["length"])
