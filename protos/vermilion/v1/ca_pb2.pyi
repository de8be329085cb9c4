from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IssueRequest(_message.Message):
    __slots__ = ("request", "profile", "subject_uri", "dns_names", "ip_addresses")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_URI_FIELD_NUMBER: _ClassVar[int]
    DNS_NAMES_FIELD_NUMBER: _ClassVar[int]
    IP_ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    profile: str
    subject_uri: str
    dns_names: _containers.RepeatedScalarFieldContainer[str]
    ip_addresses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, request: _Optional[bytes] = ..., profile: _Optional[str] = ..., subject_uri: _Optional[str] = ..., dns_names: _Optional[_Iterable[str]] = ..., ip_addresses: _Optional[_Iterable[str]] = ...) -> None: ...

class IssueResponse(_message.Message):
    __slots__ = ("certificate", "chain")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    chain: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, certificate: _Optional[bytes] = ..., chain: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("serial", "reason", "issuer")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    serial: bytes
    reason: str
    issuer: str
    def __init__(self, serial: _Optional[bytes] = ..., reason: _Optional[str] = ..., issuer: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("serial", "profile", "issuer", "subject", "not_before", "not_after", "state", "certificate")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    serial: bytes
    profile: str
    issuer: str
    subject: str
    not_before: str
    not_after: str
    state: str
    certificate: bytes
    def __init__(self, serial: _Optional[bytes] = ..., profile: _Optional[str] = ..., issuer: _Optional[str] = ..., subject: _Optional[str] = ..., not_before: _Optional[str] = ..., not_after: _Optional[str] = ..., state: _Optional[str] = ..., certificate: _Optional[bytes] = ...) -> None: ...

class ListCertificatesResponse(_message.Message):
    __slots__ = ("certificates",)
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    certificates: _containers.RepeatedCompositeFieldContainer[CertificateRecord]
    def __init__(self, certificates: _Optional[_Iterable[_Union[CertificateRecord, _Mapping]]] = ...) -> None: ...
