"""Types of the compiled core; its documentation is in ``crates/binding``."""

import mmap
from collections.abc import Sequence
from typing import final

_Document = bytes | mmap.mmap
_Store = tuple[Sequence[bytes], Sequence[bytes], Sequence[bytes]]
_Signature = tuple[str, bool, list[int], bytes]
_ByteRange = list[int]
_Stamped = tuple[bytes, list[bytes], int, str]
_Proof = tuple[bytes, list[bytes], list[_Stamped]] | _Stamped

@final
class Hash:
    name: str
    def __init__(self, name: str, data: _Document, /) -> None: ...
    def digest(self, data: bytes | None = None, /) -> bytes: ...

@final
class Picture:
    def __init__(self, source: bytes, /) -> None: ...

@final
class Plan:
    def __init__(
        self,
        field_name: str,
        times: tuple[str, str],
        marks: Sequence[tuple[int, Sequence[int], int, int, int]],
        pictures: Sequence[Picture],
        texts: Sequence[str],
        certification: int,
        bound: int | None,
        hole_size_bytes: int,
        strict: bool,
        writer_version: str,
        owner_name: str,
    ) -> None: ...

@final
class Expected:
    def __init__(
        self,
        field_name: str,
        time: str,
        marks: Sequence[tuple[int, Sequence[int], bytes, int, int]],
        texts: Sequence[str],
        certification: int,
        hole_size_bytes: int,
        writer_version: str,
        owner_name: str,
    ) -> None: ...

@final
class Looks:
    def __init__(self) -> None: ...
    def learn(
        self, look: tuple[bytes, int, int, int, int, int, bool], before: bytes, behind: bytes, picture: Sequence[Sequence[bytes | int]]
    ) -> None: ...

def failures() -> int: ...
def prepare(document: _Document, hash: Hash, plan: Plan) -> tuple[bytes, _ByteRange, bytes, str, bytes] | str: ...
def account(
    document: _Document, hash: Hash, suffix: bytes, expected: Expected, looks: Looks
) -> tuple[int, int, bytes] | tuple[list[tuple[int, int, int, bool]], list[tuple[int, int, int]]] | None: ...
def read_signed(document: _Document) -> tuple[list[_Signature], list[list[bytes]]] | str: ...
def extend(
    document: _Document,
    hash: Hash,
    store: _Store,
    identifier: bytes,
    hole_size_bytes: int,
    vri: Sequence[tuple[str, _Store]],
    field_name: str,
    field_label: str,
) -> tuple[bytes, _ByteRange | None] | str: ...
def prove(document: _Document, signed: Sequence[tuple[bytes, bool, tuple[int, int, int, int]]]) -> list[_Proof | None]: ...
def timestamp_answer(data: bytes) -> tuple[bytes, bytes, str, bytes, bytes | None, bytes, int, int] | None: ...

@final
class SealConstants:
    def __init__(
        self, kind: str, key: bytes, head: bytes, signer_head: bytes, attributes_before: bytes, attributes_after: bytes, algorithm: bytes
    ) -> None: ...

def seals(update: bytes, hole: tuple[int, int], digest: bytes, sealed: bytes, constants: SealConstants) -> bool: ...

@final
class SealTemplate:
    def __init__(self, kind: str, certificate: bytes, issuing: Sequence[bytes]) -> None: ...
    def signed_attributes(self, digest: bytes) -> bytes: ...
    def assemble(self, digest: bytes, signature: bytes, token: bytes) -> bytes: ...

_Placement = tuple[bytes, bytes]

@final
class Reading:
    def __init__(self, descriptor: int) -> None: ...

@final
class Accounted:
    hash_name: str
    hole: tuple[int, int]
    update: bytes
    digest: bytes
    warnings: bytes
    def __init__(self, update: bytes, hole: tuple[int, int], digest: bytes, hash_name: str) -> None: ...

def prepare_all(
    jobs: Sequence[tuple[_Document, Hash, Plan, Expected, str, bytes]], looks: Looks, reading: Reading, offset: int
) -> list[Accounted | str | None]: ...
def fill_all(jobs: Sequence[tuple[Accounted, SealTemplate, bytes, bytes]]) -> list[bytes | None]: ...
def read_back_all(
    jobs: Sequence[tuple[Accounted, bytes, SealConstants, Hash, bytes, bytes, bytes]], reading: Reading, offset: int
) -> list[tuple[bytes, bytes, bytes] | None]: ...
def leaf_hash(leaf: tuple[bytes, int, int, bytes, int, _Placement]) -> bytes: ...
def prove_all(size: int, root: bytes, jobs: Sequence[tuple[bytes, int, bytes, int, _Placement, Sequence[bytes]]]) -> list[bytes | None]: ...
def inclusion_proofs(leaves: Sequence[bytes]) -> tuple[bytes, list[list[bytes]]]: ...

@final
class UseEntries:
    def __init__(
        self, is_seal: bool, time_us: int, jti_hash: bytes, spki_sha256: bytes, values: tuple[str | None, str | None, str | None]
    ) -> None: ...

def encode_entries(
    jobs: Sequence[tuple[UseEntries, bytes, int, int, bytes, bytes, Sequence[str]]], random: bytes
) -> list[tuple[bytes, bytes]]: ...
def extend_frontier(frontier: bytes, entries: Sequence[bytes]) -> tuple[bytes, list[bytes]]: ...

@final
class TokenDraft:
    digest: bytes
    def token(self, signature: bytes, with_certificates: bool, /) -> bytes: ...

@final
class TokenTemplate:
    def __init__(self, kind: str, certificate: bytes, issuing: Sequence[bytes], policy: bytes, accuracy: bytes, /) -> None: ...
    def draft(self, imprint: bytes, serial: bytes, time_us: int, nonce: bytes | None, /) -> TokenDraft: ...

def timestamp_request(data: bytes, policy: bytes) -> tuple[bytes, bytes | None, bool] | None: ...

@final
class Parts:
    def __init__(self, contents: Sequence[bytes]) -> None: ...

def pack_all(jobs: Sequence[tuple[bytes, Parts]]) -> list[tuple[bytes, tuple[bytes, ...], list[int], int, bytes, bytes] | None]: ...
