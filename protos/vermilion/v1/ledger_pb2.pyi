from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AppendRequest(_message.Message):
    __slots__ = ("idempotency_key", "kind", "subject_sha256", "form", "person", "policy")
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_SHA256_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    idempotency_key: str
    kind: str
    subject_sha256: bytes
    form: str
    person: str
    policy: str
    def __init__(self, idempotency_key: _Optional[str] = ..., kind: _Optional[str] = ..., subject_sha256: _Optional[bytes] = ..., form: _Optional[str] = ..., person: _Optional[str] = ..., policy: _Optional[str] = ...) -> None: ...

class AppendResponse(_message.Message):
    __slots__ = ("ledger_index",)
    LEDGER_INDEX_FIELD_NUMBER: _ClassVar[int]
    ledger_index: int
    def __init__(self, ledger_index: _Optional[int] = ...) -> None: ...

class HeadRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LedgerHead(_message.Message):
    __slots__ = ("size", "root")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    size: int
    root: bytes
    def __init__(self, size: _Optional[int] = ..., root: _Optional[bytes] = ...) -> None: ...

class EntriesRequest(_message.Message):
    __slots__ = ("start", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: int
    end: int
    def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class EntriesResponse(_message.Message):
    __slots__ = ("start", "entries")
    START_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    start: int
    entries: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, start: _Optional[int] = ..., entries: _Optional[_Iterable[bytes]] = ...) -> None: ...

class FindRequest(_message.Message):
    __slots__ = ("form", "signature_hash")
    FORM_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_HASH_FIELD_NUMBER: _ClassVar[int]
    form: str
    signature_hash: bytes
    def __init__(self, form: _Optional[str] = ..., signature_hash: _Optional[bytes] = ...) -> None: ...

class FoundEntry(_message.Message):
    __slots__ = ("index", "entry", "form", "form_salt")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    FORM_SALT_FIELD_NUMBER: _ClassVar[int]
    index: int
    entry: bytes
    form: str
    form_salt: bytes
    def __init__(self, index: _Optional[int] = ..., entry: _Optional[bytes] = ..., form: _Optional[str] = ..., form_salt: _Optional[bytes] = ...) -> None: ...

class FindResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[FoundEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[FoundEntry, _Mapping]]] = ...) -> None: ...
