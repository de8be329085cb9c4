"""PKCS#10 requests that are doubled, broken or mutated: the typed refusal, and nothing else."""

from __future__ import annotations

import pytest
from asn1crypto import core, csr
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from ca.issuance.request import CertificateRequest, read
from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, service_uri

KEY = ec.generate_private_key(ec.SECP256R1())
URI = client_uri("acme")


def signed(attributes: list[dict[str, object]], *, subject: asn1.Name | None = None) -> bytes:
    """A request with these attributes, which its own key has signed."""
    public = KEY.public_key()
    plain = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")]))
    request = csr.CertificationRequest.load(plain.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER))
    info = request["certification_request_info"]
    info["attributes"] = csr.CRIAttributes(attributes)
    if subject is not None:
        info["subject"] = subject
    tbs = info.dump(force=True)
    request["signature"] = core.OctetBitString(KEY.sign(tbs, ec.ECDSA(hashes.SHA256())))
    assert public is not None
    return bytes(request.dump(force=True))


def san(*uris: str) -> asn1.Extension:
    names = asn1.GeneralNames([asn1.GeneralName("uniform_resource_identifier", asn1.URI(uri)) for uri in uris])
    return asn1.Extension({"extn_id": "subject_alt_name", "critical": False, "extn_value": core.ParsableOctetString(names.dump())})


def extensions(*each: asn1.Extension) -> dict[str, object]:
    return {"type": "extension_request", "values": [asn1.Extensions(list(each))]}


def challenge(text: str) -> dict[str, object]:
    return {"type": "challenge_password", "values": [asn1.DirectoryString("utf8_string", core.UTF8String(text))]}


def refused(der: bytes, *codes: Code) -> None:
    with pytest.raises(VermilionError) as refusal:
        read(der)
    assert refusal.value.code in codes, refusal.value


def test_requests_that_ask_for_something_twice_are_refused() -> None:
    assert read(signed([extensions(san(URI)), challenge("x")])).names.uri == URI, "the helper itself is sound"
    twice: list[list[dict[str, object]]] = [
        [extensions(san(URI), san(URI))],
        [extensions(san(URI), san(service_uri("signer")))],
        [extensions(san(URI)), extensions(san(service_uri("signer")))],
        [extensions(san(URI)), extensions(san(URI))],
        [{"type": "extension_request", "values": [asn1.Extensions([san(URI)]), asn1.Extensions([san(service_uri("signer"))])]}],
        [challenge("x"), challenge("y")],
        [extensions(san(URI, service_uri("signer")))],
    ]
    for attributes in twice:
        refused(signed(attributes), Code.INVALID_ARGUMENT)


def test_subject_with_an_attribute_twice_is_refused() -> None:
    twice = asn1.Name.build({"common_name": "x"})
    (rdn,) = twice.chosen
    several = asn1.Name("", asn1.RDNSequence([rdn, rdn]))
    refused(signed([], subject=several), Code.PROFILE_VIOLATION)


BROKEN = {
    "nothing": b"",
    "a tag alone": b"\x30",
    "a length without end": b"\x30\x80\x00\x00",
    "text": b"0" * 100,
    "too long": bytes(17_000),
    "something behind it": signed([]) + b"\x00",
    "cut off": signed([])[:-1],
}


@pytest.mark.parametrize("der", BROKEN.values(), ids=BROKEN)  # named: keys are new in each process of the tests
def test_what_is_no_request_is_refused(der: bytes) -> None:
    refused(der, Code.INVALID_ARGUMENT)


SOUND = signed([extensions(san(URI)), challenge("x")])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4))
def test_mutated_request_is_refused_by_name_or_is_what_it_was(changes: list[tuple[int, int]]) -> None:
    mutated = bytearray(SOUND)
    for at, value in changes:
        mutated[at % len(mutated)] = value
    try:
        found = read(bytes(mutated))
    except VermilionError as fault:
        assert fault.code in (Code.INVALID_ARGUMENT, Code.PROFILE_VIOLATION)
    else:
        assert isinstance(found, CertificateRequest) and found.names.uri == URI, "its signature held"
