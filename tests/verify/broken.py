"""Signatures broken on purpose, each in one way: a supplier signs, one part of the signature is spoilt, and the file goes on to others.

The container of a signature lies in the hole of its own byte range, so it can be replaced without moving a byte of the file; the
signature dictionary and its field are written anew by an update.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from asn1crypto import cms, parser
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from tests.verify.office import written

_SIGNING_CERTIFICATE = bytes.fromhex("2a864886f70d010910022f")  # signing-certificate-v2 (RFC 5035)
Spoil = Callable[[bytes], bytes]
_SPAN = re.compile(rb"/ByteRange\s*\[\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*\]")
_CERTIFICATES, _SIGNERS = 3, 4  # of SignedData (RFC 5652 §5.1), where nothing optional but the certificates is there
_SERIAL, _ISSUER, _VALIDITY, _SUBJECT, _KEY, _EXTENSIONS = 1, 3, 4, 5, 6, 7  # of TBSCertificate (RFC 5280 §4.1), version first
_SIGNER, _DIGEST, _SIGNED_ATTRIBUTES, _UNSIGNED_ATTRIBUTES = 1, 2, 3, 6  # of SignerInfo (RFC 5652 §5.3)


@dataclass
class Der:
    """A DER value that can be taken apart: its tag, and what it holds: bytes, or values when it is constructed."""

    tag: int
    value: bytes = b""
    parts: list[Der] = field(default_factory=list)

    def __bytes__(self) -> bytes:
        held = b"".join(map(bytes, self.parts)) if self.parts else self.value
        return parser.emit(self.tag >> 6, self.tag >> 5 & 1, self.tag & 31, held)

    def __getitem__(self, at: int) -> Der:
        return self.parts[at]


def der(data: bytes) -> Der:
    """The one value that ``data`` is."""
    class_, method, tag, _head, held, _tail = parser.parse(data)
    parts = []
    while method and held:
        size = parser.peek(held)
        parts.append(der(held[:size]))
        held = held[size:]
    return Der(class_ << 6 | method << 5 | tag, held, parts)


def with_container(document: bytes, spoil: Spoil) -> bytes:
    """The document with the DER of its last signature passed through ``spoil``."""
    _start, length, second, _rest = (int(each) for each in list(_SPAN.finditer(document))[-1].groups())
    held = cms.ContentInfo.load(bytes.fromhex(document[length + 1 : second - 1].decode())).dump()
    return document[: length + 1] + spoil(held).hex().encode().ljust(second - length - 2, b"0") + document[second - 1 :]


def with_dictionary(document: bytes, spoil: Callable[[Any], None], *, of_field: bool = False) -> bytes:
    """The document with an update in which the signature dictionary of its first field, or that field, is written anew."""
    writer = IncrementalPdfFileWriter(io.BytesIO(document))
    first = writer.root["/AcroForm"]["/Fields"][0].get_object()
    changed = first if of_field else first["/V"].get_object()
    spoil(changed)
    writer.update_container(changed)
    return written(writer)


def _signed_data(change: Callable[[Der], None]) -> Spoil:
    def spoil(data: bytes) -> bytes:
        container = der(data)
        change(container[1][0])
        return bytes(container)

    return spoil


def _certificate(at: int, value: Der) -> Spoil:
    """One member of the signer's certificate; the signer's identifier follows it."""

    def change(signed_data: Der) -> None:
        members = signed_data[_CERTIFICATES][0][0].parts
        signer = signed_data[_SIGNERS][0][_SIGNER].parts
        certificates = signed_data[_CERTIFICATES].parts
        own = next(each for each in certificates if bytes(each[0][_SERIAL]) == bytes(signer[1]))
        members = own[0].parts
        members[at : at + 1] = [value]
        signer[:] = [members[_ISSUER], members[_SERIAL]]
        attributes = signed_data[_SIGNERS][0][_SIGNED_ATTRIBUTES].parts  # the old certificate's hash would end the reading early
        attributes[:] = [each for each in attributes if each[0].value != _SIGNING_CERTIFICATE]

    return _signed_data(change)


def _signer(at: int, value: Der) -> Spoil:
    def change(signed_data: Der) -> None:
        signed_data[_SIGNERS][0].parts[at] = value

    return _signed_data(change)


def _without(at: int) -> Spoil:
    def change(signed_data: Der) -> None:
        del signed_data.parts[at]

    return _signed_data(change)


def _key(algorithm: str, parameters: str, key: bytes) -> Spoil:
    """A public key of this algorithm (hexadecimal DER of its identifier and parameters)."""
    head = Der(0x30, parts=[der(bytes.fromhex(algorithm)), *([der(bytes.fromhex(parameters))] if parameters else [])])
    return _certificate(_KEY, Der(0x30, parts=[head, Der(0x03, b"\0" + key)]))


def _rsa(modulus: int, exponent: int) -> Spoil:
    numbers = [Der(0x02, each.to_bytes(each.bit_length() // 8 + 1)) for each in (modulus, exponent)]
    return _key("06092a864886f70d010101", "0500", bytes(Der(0x30, parts=numbers)))


def _name(tag: int, text: bytes) -> Der:
    attribute = Der(0x30, parts=[Der(0x06, b"\x55\x04\x03"), Der(tag, text)])
    return Der(0x30, parts=[Der(0x31, parts=[attribute])])


def _extensions(*extensions: tuple[bytes, bytes]) -> Spoil:
    made = [Der(0x30, parts=[Der(0x06, oid), Der(0x01, b"\xff"), Der(0x04, value)]) for oid, value in extensions]
    return _certificate(_EXTENSIONS, Der(0xA3, parts=[Der(0x30, parts=made)]))


def _validity(tag: int, text: bytes) -> Spoil:
    return _certificate(_VALIDITY, Der(0x30, parts=[Der(tag, text), Der(tag, text)]))


def _attribute(oid: str, value: Der) -> Der:
    return Der(0x30, parts=[der(bytes.fromhex(oid)), Der(0x31, parts=[value])])


_EC, _P256_POINT = "06072a8648ce3d0201", b"\x04" + bytes(range(64))
_TIMESTAMP_TOKEN = "060b2a864886f70d010910020e"
_DEEP = b"\x30\x80" * 400

CONTAINERS: dict[str, Spoil] = {
    # --- the key of the certificate
    "key on an unknown curve": _key(_EC, "06092b0601040182370101", _P256_POINT),
    "key on a curve that is not named": _key(_EC, "3003020101", _P256_POINT),
    "key that is no point of its curve": _key(_EC, "06082a8648ce3d030107", _P256_POINT),
    "key without a point": _key(_EC, "06082a8648ce3d030107", b"\0"),
    "key of an unknown algorithm": _key("06072a850302020101", "", b"\x04\x40" + bytes(64)),
    "key of an identifier alone": _key("0603550400", "0500", b""),
    "RSA with exponent 1": _rsa((1 << 2047) + 9, 1),
    "RSA with an even exponent": _rsa((1 << 2047) + 9, 4),
    "RSA with a huge exponent": _rsa((1 << 2047) + 9, (1 << 2040) + 1),
    "RSA of 256 bits": _rsa((1 << 255) + 95, 65537),
    "RSA of no size": _rsa(0, 65537),
    "RSA that is no sequence": _key("06092a864886f70d010101", "0500", b"\x02\x01\x05"),
    # --- the rest of the certificate
    "serial below zero": _certificate(_SERIAL, Der(0x02, b"\x80\x01")),
    "serial of zero": _certificate(_SERIAL, Der(0x02, b"\0")),
    "serial of 40 bytes": _certificate(_SERIAL, Der(0x02, b"\x7f" * 40)),
    "serial that is text": _certificate(_SERIAL, Der(0x0C, b"12")),
    "subject that is not UTF-8": _certificate(_SUBJECT, _name(0x0C, b"\xff\xfeLtd")),
    "subject in a tag of its own": _certificate(_SUBJECT, _name(0x1F & 0x19, b"Ltd")),
    "subject of odd UTF-16": _certificate(_SUBJECT, _name(0x1E, b"\xd8\x00A")),
    "subject with an empty part": _certificate(_SUBJECT, Der(0x30, parts=[Der(0x31)])),
    "subject that is empty": _certificate(_SUBJECT, Der(0x30)),
    "subject of 3,000 characters": _certificate(_SUBJECT, _name(0x0C, b"L" * 3000)),
    "issuer that is not UTF-8": _certificate(_ISSUER, _name(0x0C, b"\xff\xfeLtd")),
    "issuer that is no name": _certificate(_ISSUER, Der(0x02, b"\x05")),
    "validity that is no time": _validity(0x17, b"yesterday"),
    "validity in the thirteenth month": _validity(0x17, b"241332000000Z"),
    "validity with an offset": _validity(0x18, b"20240101000000+0100"),
    "validity of numbers": _validity(0x02, b"\x05"),
    "extension twice": _extensions((b"\x55\x1d\x0f", b"\x03\x02\x06\x40"), (b"\x55\x1d\x0f", b"\x03\x02\x06\x40")),
    "extension of junk": _extensions((b"\x55\x1d\x0f", b"junk"), (b"\x55\x1d\x25", b"junk"), (b"\x55\x1d\x13", b"junk")),
    "extension that nobody knows": _extensions((b"\x2a\x03\x04", b"\x05\0")),
    "version of 9": _certificate(0, Der(0xA0, parts=[Der(0x02, b"\x09")])),
    # --- the container
    "no container": lambda _data: b"",
    "container of junk": lambda _data: b"\xde\xad\xbe\xef" * 40,
    "container cut short": lambda data: data[: len(data) // 4],
    "container of other content": lambda _data: bytes(der(bytes.fromhex("300b06092a864886f70d010701"))),
    "container without end": lambda _data: _DEEP,
    "no certificates": _without(_CERTIFICATES),
    "no signer": _signed_data(lambda signed_data: signed_data[_SIGNERS].parts.clear()),
    "two signers": _signed_data(lambda signed_data: signed_data[_SIGNERS].parts.append(signed_data[_SIGNERS][0])),
    "signer known by another serial": _signed_data(lambda signed_data: signed_data[_SIGNERS][0][_SIGNER].parts.__setitem__(1, Der(0x02, b"\x07"))),
    "unknown digest algorithm": _signer(_DIGEST, Der(0x30, parts=[Der(0x06, b"\x2a\x03\x04")])),
    "digest algorithm that is no identifier": _signer(_DIGEST, Der(0x02, b"\x05")),
    "no signed attributes": _signer(_SIGNED_ATTRIBUTES, Der(0xA0)),
    "signed attributes of junk": _signer(_SIGNED_ATTRIBUTES, Der(0xA0, parts=[Der(0x02, b"\x05")])),
    "timestamp of junk": _signer(_UNSIGNED_ATTRIBUTES, Der(0xA1, parts=[_attribute(_TIMESTAMP_TOKEN, Der(0x04, b"junk"))])),
    "timestamp that is empty": _signer(_UNSIGNED_ATTRIBUTES, Der(0xA1, parts=[_attribute(_TIMESTAMP_TOKEN, Der(0x30))])),
    "unsigned attributes of junk": _signer(_UNSIGNED_ATTRIBUTES, Der(0xA1, parts=[Der(0x02, b"\x05")])),
}  # fmt: skip


def _set(name: str, value: Any) -> Callable[[Any], None]:
    def spoil(dictionary: Any) -> None:
        if value is None:
            del dictionary[name]
        else:
            dictionary[pdf_name(name)] = value

    return spoil


def _numbers(*values: int) -> generic.ArrayObject:
    return generic.ArrayObject(map(generic.NumberObject, values))


_TEXT, _NULL = generic.TextStringObject("junk"), generic.NullObject()

DICTIONARIES: dict[str, Callable[[Any], None]] = {
    "time that is none": _set("/M", _TEXT),
    "time that is a number": _set("/M", generic.NumberObject(5)),
    "no SubFilter": _set("/SubFilter", None),
    "unknown SubFilter": _set("/SubFilter", pdf_name("/adbe.x509.rsa_sha1")),
    "SubFilter that is text": _set("/SubFilter", _TEXT),
    "type that is text": _set("/Type", _TEXT),
    "no byte range": _set("/ByteRange", None),
    "byte range of text": _set("/ByteRange", _TEXT),
    "byte range of names": _set("/ByteRange", generic.ArrayObject([pdf_name("/A")] * 4)),
    "byte range beyond the end": _set("/ByteRange", _numbers(0, 100, 200, 2**40)),
    "byte range below zero": _set("/ByteRange", _numbers(-1, -5, 3, 4)),
    "byte range of three": _set("/ByteRange", _numbers(0, 100, 200)),
    "no contents": _set("/Contents", None),
    "contents of a number": _set("/Contents", generic.NumberObject(5)),
    "reference that is text": _set("/Reference", _TEXT),
    "reference to nothing": _set("/Reference", generic.ArrayObject([_NULL])),
    "reference without a method": _set("/Reference", generic.ArrayObject([generic.DictionaryObject()])),
    "permissions that are none": _set(
        "/Reference", generic.ArrayObject([generic.DictionaryObject({pdf_name("/TransformMethod"): pdf_name("/DocMDP")})])
    ),
}

FIELDS: dict[str, Callable[[Any], None]] = {
    "value that is text": _set("/V", _TEXT),
    "value that is a list": _set("/V", _numbers(1)),
    "value that stands in the field": _set("/V", generic.DictionaryObject({pdf_name("/Type"): pdf_name("/Sig")})),

    "kids that are text": _set("/Kids", _TEXT),
    "kids that are nothing": _set("/Kids", generic.ArrayObject([_NULL])),
    "type that is a number": _set("/FT", generic.NumberObject(5)),
}  # fmt: skip
