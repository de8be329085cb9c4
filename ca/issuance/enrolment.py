"""A new identity as people approve it: the act's parameters name the URI, the subject and the key, and carry the key's own request. Pure.

What is certified is what the act says. The request (PKCS#10) proves that its sender has the key, and may ask for nothing that the act
does not name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from ca.issuance.profiles import ATTRIBUTES, AttributeName
from ca.issuance.request import CertificateRequest, Names, read
from sealcore.errors import Code, VermilionError
from sealcore.protocol.canonical import b64url, b64url_decode

CHANGE: Final = "certificate"
_FIXED: Final = frozenset({"change", "profile", "uri", "spki_sha256", "request"})


@dataclass(frozen=True)
class Enrolment:
    """Who is to get a certificate; refused with INVALID_ARGUMENT where the request is for another key or other names.

    subject  the attributes that are not the office's
    request  whose proof of possession has been checked, under the act's names
    """

    profile: str
    uri: str
    subject: Mapping[AttributeName, str]
    request_der: bytes
    request: CertificateRequest

    def as_json(self) -> dict[str, str]:
        """The identity as an act's parameters carry it."""
        fixed = {
            "change": CHANGE,
            "profile": self.profile,
            "uri": self.uri,
            "spki_sha256": hashlib.sha256(self.request.spki_der).hexdigest(),
            "request": b64url(self.request_der),
        }
        return fixed | {str(name): value for name, value in self.subject.items()}


def enrolment(profile: str, uri: str, subject: Mapping[AttributeName, str], request_der: bytes) -> Enrolment:
    """The identity for the key of a request; as ``ca.issuance.request.read``, and INVALID_ARGUMENT when it asks for what is not named here."""
    asked = read(request_der, uri=uri)
    if asked.names != Names(uri):
        raise _invalid("the request asks for more names than the URI that is approved")
    if any(subject.get(name) != value for name, value in asked.attributes.items()):
        raise _invalid("the request asks for another subject than is approved")
    subject = MappingProxyType(dict(subject))
    return Enrolment(profile, uri, subject, request_der, replace(asked, attributes=subject, names=Names(uri)))


def enrolment_of(parameters: Mapping[str, Any]) -> Enrolment:
    """The identity that an act's parameters ask for; INVALID_ARGUMENT unless they are exactly what ``Enrolment.as_json`` writes."""
    if not _FIXED <= parameters.keys() <= _FIXED | ATTRIBUTES.keys() or not all(isinstance(value, str) for value in parameters.values()):
        raise _invalid(f"the act's parameters are texts: {', '.join(sorted(_FIXED))}, and attributes of the subject")
    subject = {name: parameters[name] for name in ATTRIBUTES if name in parameters}
    request = b64url_decode(parameters["request"], Code.INVALID_ARGUMENT)
    found = enrolment(parameters["profile"], parameters["uri"], subject, request)
    # Written again and compared: what people approved has one spelling, and nothing rides along
    # that they were not shown.
    if found.as_json() != dict(parameters):
        raise _invalid("the act's parameters are not in their one form, or name another key than the request's")
    return found


def _invalid(reason: str) -> VermilionError:
    return VermilionError(Code.INVALID_ARGUMENT, reason)
