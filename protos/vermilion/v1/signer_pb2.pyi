from protos.vermilion.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Item(_message.Message):
    __slots__ = ("index", "salt", "proof", "placement", "size_bytes", "document_sha256", "document", "name")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    index: int
    salt: bytes
    proof: _containers.RepeatedScalarFieldContainer[bytes]
    placement: _common_pb2.Placement
    size_bytes: int
    document_sha256: bytes
    document: bytes
    name: str
    def __init__(self, index: _Optional[int] = ..., salt: _Optional[bytes] = ..., proof: _Optional[_Iterable[bytes]] = ..., placement: _Optional[_Union[_common_pb2.Placement, _Mapping]] = ..., size_bytes: _Optional[int] = ..., document_sha256: _Optional[bytes] = ..., document: _Optional[bytes] = ..., name: _Optional[str] = ...) -> None: ...

class SealRequest(_message.Message):
    __slots__ = ("token", "item")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    token: str
    item: Item
    def __init__(self, token: _Optional[str] = ..., item: _Optional[_Union[Item, _Mapping]] = ...) -> None: ...

class SealResponse(_message.Message):
    __slots__ = ("sealed",)
    SEALED_FIELD_NUMBER: _ClassVar[int]
    sealed: Sealed
    def __init__(self, sealed: _Optional[_Union[Sealed, _Mapping]] = ...) -> None: ...

class SealStreamRequest(_message.Message):
    __slots__ = ("open", "items", "chunk")
    class Open(_message.Message):
        __slots__ = ("token", "packed")
        TOKEN_FIELD_NUMBER: _ClassVar[int]
        PACKED_FIELD_NUMBER: _ClassVar[int]
        token: str
        packed: bool
        def __init__(self, token: _Optional[str] = ..., packed: _Optional[bool] = ...) -> None: ...
    class Items(_message.Message):
        __slots__ = ("items",)
        ITEMS_FIELD_NUMBER: _ClassVar[int]
        items: _containers.RepeatedCompositeFieldContainer[Item]
        def __init__(self, items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ...) -> None: ...
    class Chunk(_message.Message):
        __slots__ = ("index", "offset", "data")
        INDEX_FIELD_NUMBER: _ClassVar[int]
        OFFSET_FIELD_NUMBER: _ClassVar[int]
        DATA_FIELD_NUMBER: _ClassVar[int]
        index: int
        offset: int
        data: bytes
        def __init__(self, index: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...
    OPEN_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    open: SealStreamRequest.Open
    items: SealStreamRequest.Items
    chunk: SealStreamRequest.Chunk
    def __init__(self, open: _Optional[_Union[SealStreamRequest.Open, _Mapping]] = ..., items: _Optional[_Union[SealStreamRequest.Items, _Mapping]] = ..., chunk: _Optional[_Union[SealStreamRequest.Chunk, _Mapping]] = ...) -> None: ...

class Sealed(_message.Message):
    __slots__ = ("index", "suffix", "ledger_index", "ledger_leaf_hash", "sealed_sha256", "attempts", "warnings", "repeated", "packed")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_FIELD_NUMBER: _ClassVar[int]
    LEDGER_INDEX_FIELD_NUMBER: _ClassVar[int]
    LEDGER_LEAF_HASH_FIELD_NUMBER: _ClassVar[int]
    SEALED_SHA256_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    index: int
    suffix: bytes
    ledger_index: int
    ledger_leaf_hash: bytes
    sealed_sha256: bytes
    attempts: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    repeated: bool
    packed: PackedSuffix
    def __init__(self, index: _Optional[int] = ..., suffix: _Optional[bytes] = ..., ledger_index: _Optional[int] = ..., ledger_leaf_hash: _Optional[bytes] = ..., sealed_sha256: _Optional[bytes] = ..., attempts: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ..., repeated: _Optional[bool] = ..., packed: _Optional[_Union[PackedSuffix, _Mapping]] = ...) -> None: ...

class PackedSuffix(_message.Message):
    __slots__ = ("before", "stretches", "parts", "zeros", "after")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    STRETCHES_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    ZEROS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    before: bytes
    stretches: _containers.RepeatedScalarFieldContainer[bytes]
    parts: _containers.RepeatedScalarFieldContainer[bytes]
    zeros: int
    after: bytes
    def __init__(self, before: _Optional[bytes] = ..., stretches: _Optional[_Iterable[bytes]] = ..., parts: _Optional[_Iterable[bytes]] = ..., zeros: _Optional[int] = ..., after: _Optional[bytes] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("index", "error")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    index: int
    error: _common_pb2.Error
    def __init__(self, index: _Optional[int] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class SealStreamResponse(_message.Message):
    __slots__ = ("results", "suffix")
    class Results(_message.Message):
        __slots__ = ("sealed", "refused", "parts")
        SEALED_FIELD_NUMBER: _ClassVar[int]
        REFUSED_FIELD_NUMBER: _ClassVar[int]
        PARTS_FIELD_NUMBER: _ClassVar[int]
        sealed: _containers.RepeatedCompositeFieldContainer[Sealed]
        refused: _containers.RepeatedCompositeFieldContainer[Refused]
        parts: _containers.RepeatedScalarFieldContainer[bytes]
        def __init__(self, sealed: _Optional[_Iterable[_Union[Sealed, _Mapping]]] = ..., refused: _Optional[_Iterable[_Union[Refused, _Mapping]]] = ..., parts: _Optional[_Iterable[bytes]] = ...) -> None: ...
    class SuffixChunk(_message.Message):
        __slots__ = ("index", "offset", "data", "last")
        INDEX_FIELD_NUMBER: _ClassVar[int]
        OFFSET_FIELD_NUMBER: _ClassVar[int]
        DATA_FIELD_NUMBER: _ClassVar[int]
        LAST_FIELD_NUMBER: _ClassVar[int]
        index: int
        offset: int
        data: bytes
        last: bool
        def __init__(self, index: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_FIELD_NUMBER: _ClassVar[int]
    results: SealStreamResponse.Results
    suffix: SealStreamResponse.SuffixChunk
    def __init__(self, results: _Optional[_Union[SealStreamResponse.Results, _Mapping]] = ..., suffix: _Optional[_Union[SealStreamResponse.SuffixChunk, _Mapping]] = ...) -> None: ...

class ExamineRequest(_message.Message):
    __slots__ = ("open", "items", "chunk")
    class Open(_message.Message):
        __slots__ = ("seal",)
        SEAL_FIELD_NUMBER: _ClassVar[int]
        seal: str
        def __init__(self, seal: _Optional[str] = ...) -> None: ...
    OPEN_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    open: ExamineRequest.Open
    items: SealStreamRequest.Items
    chunk: SealStreamRequest.Chunk
    def __init__(self, open: _Optional[_Union[ExamineRequest.Open, _Mapping]] = ..., items: _Optional[_Union[SealStreamRequest.Items, _Mapping]] = ..., chunk: _Optional[_Union[SealStreamRequest.Chunk, _Mapping]] = ...) -> None: ...

class Examined(_message.Message):
    __slots__ = ("index", "warnings", "error")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    index: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    error: _common_pb2.Error
    def __init__(self, index: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class ExamineResponse(_message.Message):
    __slots__ = ("examined",)
    EXAMINED_FIELD_NUMBER: _ClassVar[int]
    examined: _containers.RepeatedCompositeFieldContainer[Examined]
    def __init__(self, examined: _Optional[_Iterable[_Union[Examined, _Mapping]]] = ...) -> None: ...

class AcknowledgeRequest(_message.Message):
    __slots__ = ("jti", "indexes")
    JTI_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    jti: str
    indexes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, jti: _Optional[str] = ..., indexes: _Optional[_Iterable[int]] = ...) -> None: ...

class AcknowledgeResponse(_message.Message):
    __slots__ = ("acknowledged",)
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    acknowledged: int
    def __init__(self, acknowledged: _Optional[int] = ...) -> None: ...

class ListUsesRequest(_message.Message):
    __slots__ = ("jti",)
    JTI_FIELD_NUMBER: _ClassVar[int]
    jti: str
    def __init__(self, jti: _Optional[str] = ...) -> None: ...

class Use(_message.Message):
    __slots__ = ("index", "state", "attempts", "ledger_index")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    LEDGER_INDEX_FIELD_NUMBER: _ClassVar[int]
    index: int
    state: str
    attempts: int
    ledger_index: int
    def __init__(self, index: _Optional[int] = ..., state: _Optional[str] = ..., attempts: _Optional[int] = ..., ledger_index: _Optional[int] = ...) -> None: ...

class ListUsesResponse(_message.Message):
    __slots__ = ("uses",)
    USES_FIELD_NUMBER: _ClassVar[int]
    uses: _containers.RepeatedCompositeFieldContainer[Use]
    def __init__(self, uses: _Optional[_Iterable[_Union[Use, _Mapping]]] = ...) -> None: ...

class RequestCertificateRequest(_message.Message):
    __slots__ = ("label", "common_name", "organization")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    COMMON_NAME_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    label: str
    common_name: str
    organization: str
    def __init__(self, label: _Optional[str] = ..., common_name: _Optional[str] = ..., organization: _Optional[str] = ...) -> None: ...

class RequestCertificateResponse(_message.Message):
    __slots__ = ("request", "ledger_index")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    LEDGER_INDEX_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    ledger_index: int
    def __init__(self, request: _Optional[bytes] = ..., ledger_index: _Optional[int] = ...) -> None: ...

class CertifyKeyResponse(_message.Message):
    __slots__ = ("certificate", "chain")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    chain: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, certificate: _Optional[bytes] = ..., chain: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ListSealsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QuorumRule(_message.Message):
    __slots__ = ("action", "least_persons")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    LEAST_PERSONS_FIELD_NUMBER: _ClassVar[int]
    action: str
    least_persons: int
    def __init__(self, action: _Optional[str] = ..., least_persons: _Optional[int] = ...) -> None: ...

class SealRecord(_message.Message):
    __slots__ = ("id", "name", "kind", "state", "epoch", "algorithm", "spki_sha256", "certificate", "chain", "picture_sha256", "content_policy", "quorum", "certification")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    SPKI_SHA256_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    PICTURE_SHA256_FIELD_NUMBER: _ClassVar[int]
    CONTENT_POLICY_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATION_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    kind: str
    state: str
    epoch: int
    algorithm: str
    spki_sha256: bytes
    certificate: bytes
    chain: _containers.RepeatedScalarFieldContainer[bytes]
    picture_sha256: _containers.RepeatedScalarFieldContainer[bytes]
    content_policy: str
    quorum: _containers.RepeatedCompositeFieldContainer[QuorumRule]
    certification: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[str] = ..., epoch: _Optional[int] = ..., algorithm: _Optional[str] = ..., spki_sha256: _Optional[bytes] = ..., certificate: _Optional[bytes] = ..., chain: _Optional[_Iterable[bytes]] = ..., picture_sha256: _Optional[_Iterable[bytes]] = ..., content_policy: _Optional[str] = ..., quorum: _Optional[_Iterable[_Union[QuorumRule, _Mapping]]] = ..., certification: _Optional[str] = ...) -> None: ...

class ListSealsResponse(_message.Message):
    __slots__ = ("seals",)
    SEALS_FIELD_NUMBER: _ClassVar[int]
    seals: _containers.RepeatedCompositeFieldContainer[SealRecord]
    def __init__(self, seals: _Optional[_Iterable[_Union[SealRecord, _Mapping]]] = ...) -> None: ...

class GetSealRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetPictureRequest(_message.Message):
    __slots__ = ("picture_sha256",)
    PICTURE_SHA256_FIELD_NUMBER: _ClassVar[int]
    picture_sha256: bytes
    def __init__(self, picture_sha256: _Optional[bytes] = ...) -> None: ...

class Picture(_message.Message):
    __slots__ = ("pdf", "width_millipoints", "height_millipoints")
    PDF_FIELD_NUMBER: _ClassVar[int]
    WIDTH_MILLIPOINTS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_MILLIPOINTS_FIELD_NUMBER: _ClassVar[int]
    pdf: bytes
    width_millipoints: int
    height_millipoints: int
    def __init__(self, pdf: _Optional[bytes] = ..., width_millipoints: _Optional[int] = ..., height_millipoints: _Optional[int] = ...) -> None: ...

class ListPeopleRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PersonRecord(_message.Message):
    __slots__ = ("id", "roles", "public_key", "active")
    ID_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    id: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    public_key: bytes
    active: bool
    def __init__(self, id: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., public_key: _Optional[bytes] = ..., active: _Optional[bool] = ...) -> None: ...

class ListPeopleResponse(_message.Message):
    __slots__ = ("people", "register_quorum", "issuers", "restored_at", "shut_out")
    PEOPLE_FIELD_NUMBER: _ClassVar[int]
    REGISTER_QUORUM_FIELD_NUMBER: _ClassVar[int]
    ISSUERS_FIELD_NUMBER: _ClassVar[int]
    RESTORED_AT_FIELD_NUMBER: _ClassVar[int]
    SHUT_OUT_FIELD_NUMBER: _ClassVar[int]
    people: _containers.RepeatedCompositeFieldContainer[PersonRecord]
    register_quorum: int
    issuers: _containers.RepeatedScalarFieldContainer[bytes]
    restored_at: int
    shut_out: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, people: _Optional[_Iterable[_Union[PersonRecord, _Mapping]]] = ..., register_quorum: _Optional[int] = ..., issuers: _Optional[_Iterable[bytes]] = ..., restored_at: _Optional[int] = ..., shut_out: _Optional[_Iterable[str]] = ...) -> None: ...

class ListKeysRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KeyRecord(_message.Message):
    __slots__ = ("label", "algorithm", "purpose", "owner", "spki_sha256", "extractable", "sensitive")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SPKI_SHA256_FIELD_NUMBER: _ClassVar[int]
    EXTRACTABLE_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_FIELD_NUMBER: _ClassVar[int]
    label: str
    algorithm: str
    purpose: str
    owner: str
    spki_sha256: bytes
    extractable: bool
    sensitive: bool
    def __init__(self, label: _Optional[str] = ..., algorithm: _Optional[str] = ..., purpose: _Optional[str] = ..., owner: _Optional[str] = ..., spki_sha256: _Optional[bytes] = ..., extractable: _Optional[bool] = ..., sensitive: _Optional[bool] = ...) -> None: ...

class ListKeysResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[KeyRecord]
    def __init__(self, keys: _Optional[_Iterable[_Union[KeyRecord, _Mapping]]] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ("subject_kind", "subject", "officer", "reason", "time", "signature")
    SUBJECT_KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    OFFICER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    subject_kind: str
    subject: str
    officer: str
    reason: str
    time: str
    signature: bytes
    def __init__(self, subject_kind: _Optional[str] = ..., subject: _Optional[str] = ..., officer: _Optional[str] = ..., reason: _Optional[str] = ..., time: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class StopResponse(_message.Message):
    __slots__ = ("epoch", "ledger_index")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LEDGER_INDEX_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    ledger_index: int
    def __init__(self, epoch: _Optional[int] = ..., ledger_index: _Optional[int] = ...) -> None: ...

class PerformRequest(_message.Message):
    __slots__ = ("token", "attachments")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    token: str
    attachments: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, token: _Optional[str] = ..., attachments: _Optional[_Iterable[bytes]] = ...) -> None: ...

class PerformResponse(_message.Message):
    __slots__ = ("ledger_index",)
    LEDGER_INDEX_FIELD_NUMBER: _ClassVar[int]
    ledger_index: int
    def __init__(self, ledger_index: _Optional[int] = ...) -> None: ...

class CheckActRequest(_message.Message):
    __slots__ = ("action", "seal", "parameters", "attachments", "approved_since")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    APPROVED_SINCE_FIELD_NUMBER: _ClassVar[int]
    action: str
    seal: str
    parameters: str
    attachments: _containers.RepeatedScalarFieldContainer[bytes]
    approved_since: int
    def __init__(self, action: _Optional[str] = ..., seal: _Optional[str] = ..., parameters: _Optional[str] = ..., attachments: _Optional[_Iterable[bytes]] = ..., approved_since: _Optional[int] = ...) -> None: ...

class CheckActResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListGrantsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GrantRecord(_message.Message):
    __slots__ = ("jti", "seal", "client", "most_uses", "uses", "expires", "template", "withdrawn")
    JTI_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    MOST_USES_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    jti: str
    seal: str
    client: str
    most_uses: int
    uses: int
    expires: str
    template: str
    withdrawn: bool
    def __init__(self, jti: _Optional[str] = ..., seal: _Optional[str] = ..., client: _Optional[str] = ..., most_uses: _Optional[int] = ..., uses: _Optional[int] = ..., expires: _Optional[str] = ..., template: _Optional[str] = ..., withdrawn: _Optional[bool] = ...) -> None: ...

class ListGrantsResponse(_message.Message):
    __slots__ = ("grants",)
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    grants: _containers.RepeatedCompositeFieldContainer[GrantRecord]
    def __init__(self, grants: _Optional[_Iterable[_Union[GrantRecord, _Mapping]]] = ...) -> None: ...
