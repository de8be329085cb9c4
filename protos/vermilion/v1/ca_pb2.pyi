from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IssueRequest(_message.Message):
    __slots__ = ("request", "profile", "subject_uri", "dns_names", "ip_addresses", "issuer")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_URI_FIELD_NUMBER: _ClassVar[int]
    DNS_NAMES_FIELD_NUMBER: _ClassVar[int]
    IP_ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    profile: str
    subject_uri: str
    dns_names: _containers.RepeatedScalarFieldContainer[str]
    ip_addresses: _containers.RepeatedScalarFieldContainer[str]
    issuer: str
    def __init__(self, request: _Optional[bytes] = ..., profile: _Optional[str] = ..., subject_uri: _Optional[str] = ..., dns_names: _Optional[_Iterable[str]] = ..., ip_addresses: _Optional[_Iterable[str]] = ..., issuer: _Optional[str] = ...) -> None: ...

class IssueResponse(_message.Message):
    __slots__ = ("certificate", "chain")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    chain: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, certificate: _Optional[bytes] = ..., chain: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("serial", "reason", "issuer", "invalidity_date")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    INVALIDITY_DATE_FIELD_NUMBER: _ClassVar[int]
    serial: bytes
    reason: str
    issuer: str
    invalidity_date: str
    def __init__(self, serial: _Optional[bytes] = ..., reason: _Optional[str] = ..., issuer: _Optional[str] = ..., invalidity_date: _Optional[str] = ...) -> None: ...

class HoldRequest(_message.Message):
    __slots__ = ("serial", "issuer")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    serial: bytes
    issuer: str
    def __init__(self, serial: _Optional[bytes] = ..., issuer: _Optional[str] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("serial", "issuer")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    serial: bytes
    issuer: str
    def __init__(self, serial: _Optional[bytes] = ..., issuer: _Optional[str] = ...) -> None: ...

class CaActRequest(_message.Message):
    __slots__ = ("action", "seal", "parameters", "approved_since", "earliest")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    APPROVED_SINCE_FIELD_NUMBER: _ClassVar[int]
    EARLIEST_FIELD_NUMBER: _ClassVar[int]
    action: str
    seal: str
    parameters: str
    approved_since: int
    earliest: int
    def __init__(self, action: _Optional[str] = ..., seal: _Optional[str] = ..., parameters: _Optional[str] = ..., approved_since: _Optional[int] = ..., earliest: _Optional[int] = ...) -> None: ...

class CaActResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ActRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class PublishCrlRequest(_message.Message):
    __slots__ = ("issuer",)
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    issuer: str
    def __init__(self, issuer: _Optional[str] = ...) -> None: ...

class ListCrlsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CrlRecord(_message.Message):
    __slots__ = ("issuer", "number", "this_update", "next_update", "entries", "crl", "url")
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    THIS_UPDATE_FIELD_NUMBER: _ClassVar[int]
    NEXT_UPDATE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CRL_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    issuer: str
    number: str
    this_update: str
    next_update: str
    entries: int
    crl: bytes
    url: str
    def __init__(self, issuer: _Optional[str] = ..., number: _Optional[str] = ..., this_update: _Optional[str] = ..., next_update: _Optional[str] = ..., entries: _Optional[int] = ..., crl: _Optional[bytes] = ..., url: _Optional[str] = ...) -> None: ...

class ListCrlsResponse(_message.Message):
    __slots__ = ("crls",)
    CRLS_FIELD_NUMBER: _ClassVar[int]
    crls: _containers.RepeatedCompositeFieldContainer[CrlRecord]
    def __init__(self, crls: _Optional[_Iterable[_Union[CrlRecord, _Mapping]]] = ...) -> None: ...

class RevokeResponse(_message.Message):
    __slots__ = ("crl_number",)
    CRL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    crl_number: str
    def __init__(self, crl_number: _Optional[str] = ...) -> None: ...

class ListCertificatesRequest(_message.Message):
    __slots__ = ("profile",)
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    profile: str
    def __init__(self, profile: _Optional[str] = ...) -> None: ...

class CertificateRecord(_message.Message):
    __slots__ = ("serial", "profile", "issuer", "subject", "not_before", "not_after", "state", "certificate", "revoked_at", "reason", "invalidity_date", "held_at")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    INVALIDITY_DATE_FIELD_NUMBER: _ClassVar[int]
    HELD_AT_FIELD_NUMBER: _ClassVar[int]
    serial: bytes
    profile: str
    issuer: str
    subject: str
    not_before: str
    not_after: str
    state: str
    certificate: bytes
    revoked_at: str
    reason: str
    invalidity_date: str
    held_at: str
    def __init__(self, serial: _Optional[bytes] = ..., profile: _Optional[str] = ..., issuer: _Optional[str] = ..., subject: _Optional[str] = ..., not_before: _Optional[str] = ..., not_after: _Optional[str] = ..., state: _Optional[str] = ..., certificate: _Optional[bytes] = ..., revoked_at: _Optional[str] = ..., reason: _Optional[str] = ..., invalidity_date: _Optional[str] = ..., held_at: _Optional[str] = ...) -> None: ...

class ListCertificatesResponse(_message.Message):
    __slots__ = ("certificates",)
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    certificates: _containers.RepeatedCompositeFieldContainer[CertificateRecord]
    def __init__(self, certificates: _Optional[_Iterable[_Union[CertificateRecord, _Mapping]]] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    def __init__(self, request: _Optional[bytes] = ...) -> None: ...

class ListProfilesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ProfileRecord(_message.Message):
    __slots__ = ("name", "issuers", "days", "algorithms", "key_usage", "extended_key_usage", "policies", "qc_statements", "names", "callers", "etsi")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ISSUERS_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    ALGORITHMS_FIELD_NUMBER: _ClassVar[int]
    KEY_USAGE_FIELD_NUMBER: _ClassVar[int]
    EXTENDED_KEY_USAGE_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    QC_STATEMENTS_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    CALLERS_FIELD_NUMBER: _ClassVar[int]
    ETSI_FIELD_NUMBER: _ClassVar[int]
    name: str
    issuers: _containers.RepeatedScalarFieldContainer[str]
    days: int
    algorithms: _containers.RepeatedScalarFieldContainer[str]
    key_usage: _containers.RepeatedScalarFieldContainer[str]
    extended_key_usage: _containers.RepeatedScalarFieldContainer[str]
    policies: _containers.RepeatedScalarFieldContainer[str]
    qc_statements: _containers.RepeatedScalarFieldContainer[str]
    names: _containers.RepeatedScalarFieldContainer[str]
    callers: _containers.RepeatedScalarFieldContainer[str]
    etsi: str
    def __init__(self, name: _Optional[str] = ..., issuers: _Optional[_Iterable[str]] = ..., days: _Optional[int] = ..., algorithms: _Optional[_Iterable[str]] = ..., key_usage: _Optional[_Iterable[str]] = ..., extended_key_usage: _Optional[_Iterable[str]] = ..., policies: _Optional[_Iterable[str]] = ..., qc_statements: _Optional[_Iterable[str]] = ..., names: _Optional[_Iterable[str]] = ..., callers: _Optional[_Iterable[str]] = ..., etsi: _Optional[str] = ...) -> None: ...

class ListProfilesResponse(_message.Message):
    __slots__ = ("profiles",)
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    profiles: _containers.RepeatedCompositeFieldContainer[ProfileRecord]
    def __init__(self, profiles: _Optional[_Iterable[_Union[ProfileRecord, _Mapping]]] = ...) -> None: ...
