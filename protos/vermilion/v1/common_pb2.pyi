from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MarkKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MARK_KIND_UNSPECIFIED: _ClassVar[MarkKind]
    MARK_KIND_PLAIN: _ClassVar[MarkKind]
    MARK_KIND_RIDING: _ClassVar[MarkKind]

class Certification(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CERTIFICATION_NONE: _ClassVar[Certification]
    CERTIFICATION_FINAL: _ClassVar[Certification]
    CERTIFICATION_FORM_FILL: _ClassVar[Certification]

class PadesLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PADES_LEVEL_UNSPECIFIED: _ClassVar[PadesLevel]
    PADES_LEVEL_B_T: _ClassVar[PadesLevel]
MARK_KIND_UNSPECIFIED: MarkKind
MARK_KIND_PLAIN: MarkKind
MARK_KIND_RIDING: MarkKind
CERTIFICATION_NONE: Certification
CERTIFICATION_FINAL: Certification
CERTIFICATION_FORM_FILL: Certification
PADES_LEVEL_UNSPECIFIED: PadesLevel
PADES_LEVEL_B_T: PadesLevel

class Error(_message.Message):
    __slots__ = ("code", "reason", "rule", "document", "way_out")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    WAY_OUT_FIELD_NUMBER: _ClassVar[int]
    code: str
    reason: str
    rule: str
    document: str
    way_out: str
    def __init__(self, code: _Optional[str] = ..., reason: _Optional[str] = ..., rule: _Optional[str] = ..., document: _Optional[str] = ..., way_out: _Optional[str] = ...) -> None: ...

class Rectangle(_message.Message):
    __slots__ = ("x0", "y0", "x1", "y1")
    X0_FIELD_NUMBER: _ClassVar[int]
    Y0_FIELD_NUMBER: _ClassVar[int]
    X1_FIELD_NUMBER: _ClassVar[int]
    Y1_FIELD_NUMBER: _ClassVar[int]
    x0: int
    y0: int
    x1: int
    y1: int
    def __init__(self, x0: _Optional[int] = ..., y0: _Optional[int] = ..., x1: _Optional[int] = ..., y1: _Optional[int] = ...) -> None: ...

class Mark(_message.Message):
    __slots__ = ("pages", "rectangle", "picture_sha256", "kind")
    PAGES_FIELD_NUMBER: _ClassVar[int]
    RECTANGLE_FIELD_NUMBER: _ClassVar[int]
    PICTURE_SHA256_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    pages: _containers.RepeatedScalarFieldContainer[int]
    rectangle: Rectangle
    picture_sha256: bytes
    kind: MarkKind
    def __init__(self, pages: _Optional[_Iterable[int]] = ..., rectangle: _Optional[_Union[Rectangle, _Mapping]] = ..., picture_sha256: _Optional[bytes] = ..., kind: _Optional[_Union[MarkKind, str]] = ...) -> None: ...

class SignatureTexts(_message.Message):
    __slots__ = ("name", "reason", "location", "contact")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    location: str
    contact: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., location: _Optional[str] = ..., contact: _Optional[str] = ...) -> None: ...

class Placement(_message.Message):
    __slots__ = ("marks", "texts", "certification", "level")
    MARKS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATION_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    marks: _containers.RepeatedCompositeFieldContainer[Mark]
    texts: SignatureTexts
    certification: Certification
    level: PadesLevel
    def __init__(self, marks: _Optional[_Iterable[_Union[Mark, _Mapping]]] = ..., texts: _Optional[_Union[SignatureTexts, _Mapping]] = ..., certification: _Optional[_Union[Certification, str]] = ..., level: _Optional[_Union[PadesLevel, str]] = ...) -> None: ...
