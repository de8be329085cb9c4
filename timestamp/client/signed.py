"""Who signed a token, and whether we trust them: CMS (RFC 5652), ESS (RFC 2634, 5035), the TSA's certificate (RFC 3161 §2.3)."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asn1crypto import cms
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, PathValidationError, ValidationError

from sealcore.certificate_paths import bounded
from sealcore.errors import Code, VermilionError
from timestamp.client.answer import Token, malformed

MOST_CERTIFICATES: Final = 16
LEAST_RSA_BITS: Final = 2048
_HASHES: Final[dict[str, Any]] = {"sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}
_PATHS_HELD: Final = 64


@dataclass(frozen=True)
class _Known:
    """A certificate that was judged in full, and while its whole chain is valid."""

    certificate: x509.Certificate
    since: datetime
    until: datetime


class Signers:
    """Judges tokens by the anchors of one TSA. A certificate that was judged in full is known for as long as its whole chain is valid.

    anchors  end every chain; issuers  may lie in between, for tokens that do not bring them
    """

    def __init__(self, anchors: Sequence[x509.Certificate], issuers: Sequence[x509.Certificate] = ()) -> None:
        self._anchors = [_asn1(each) for each in anchors]
        self._issuers = [_asn1(each) for each in issuers]
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    def require_trusted(self, token: Token) -> x509.Certificate:
        """The certificate that signed the token.

        TSA_SIGNATURE_INVALID, TSA_UNTRUSTED, TSA_ANSWER_MALFORMED.
        """
        if token.signer is not None and (known := self._known_at(hashlib.sha256(token.signer).digest(), token.time)) is not None:
            return known
        try:
            sent = [each.chosen for each in token.signed_data["certificates"] if each.name == "certificate"]
            if len(sent) > MOST_CERTIFICATES:
                raise malformed(f"brings more than {MOST_CERTIFICATES} certificates")
            signer_info = _only_signer(token.signed_data)
            found = _certificate_of(signer_info["sid"], [*sent, *self._issuers])
            certificate = x509.load_der_x509_certificate(found.dump())
            _require_signed(token, signer_info, certificate)
            self._require_path(certificate, found, sent, token.time)
        except VermilionError:
            raise
        except Exception as fault:  # noqa: BLE001  (whatever a stranger's bytes provoke speaks against them)
            raise malformed(f"has a signature or certificate that cannot be read ({type(fault).__name__})") from None
        return certificate

    def _require_path(self, certificate: x509.Certificate, found: Any, sent: Sequence[Any], moment: datetime) -> None:
        fingerprint = certificate.fingerprint(hashes.SHA256())
        if self._known_at(fingerprint, moment) is not None:
            return
        _require_purpose(certificate)
        context = ValidationContext(
            trust_roots=self._anchors, other_certs=[*self._issuers, *sent], moment=moment, allow_fetching=False, revocation_mode="soft-fail"
        )
        validator: Any = CertificateValidator(found, validation_context=bounded(context))
        try:
            path = completed(validator.async_validate_usage({"digital_signature"}, {"time_stamping"}, extended_optional=False))
        except (PathBuildingError, PathValidationError, ValidationError, ValueError) as fault:
            raise VermilionError(Code.TSA_UNTRUSTED, f"the token's signer is not trusted: {fault}") from None
        chain = list(path.iter_certs(include_root=False))  # an anchor is trusted as it is, whatever its dates say
        since, until = max(each.not_valid_before for each in chain), min(each.not_valid_after for each in chain)
        self._known[fingerprint] = _Known(certificate, since, until)
        while len(self._known) > _PATHS_HELD:
            self._known.popitem(last=False)

    def _known_at(self, fingerprint: bytes, moment: datetime) -> x509.Certificate | None:
        known = self._known.get(fingerprint)
        return known.certificate if known is not None and known.since <= moment <= known.until else None


def _only_signer(signed_data: cms.SignedData) -> Any:
    signers = list(signed_data["signer_infos"])
    if len(signers) != 1:
        raise malformed("has more than one signer, or none")  # RFC 3161 §2.4.2
    return signers[0]


def _certificate_of(sid: Any, certificates: Sequence[Any]) -> Any:
    for each in certificates:
        if sid.name == "issuer_and_serial_number":
            if (each.issuer.dump(), each.serial_number) == (sid.chosen["issuer"].dump(), sid.chosen["serial_number"].native):
                return each
        elif each.key_identifier == sid.chosen.native:
            return each
    raise VermilionError(Code.TSA_UNTRUSTED, "the token does not bring the certificate of its signer")


def _require_signed(token: Token, signer_info: Any, certificate: x509.Certificate) -> None:
    signed = b"\x31" + bytes(signer_info["signed_attrs"].dump())[1:]  # [0] IMPLICIT → SET (RFC 5652 §5.4); as it came, before it is read
    attributes = _attributes(signer_info["signed_attrs"])
    hash_name = signer_info["digest_algorithm"]["algorithm"].native
    if hash_name not in _HASHES:
        raise VermilionError(Code.TSA_SIGNATURE_INVALID, f"the token is signed with the hash {hash_name}, which proves nothing any more")
    if attributes.get("content_type") is None or attributes["content_type"].native != "tst_info":
        raise VermilionError(Code.TSA_SIGNATURE_INVALID, "the token's signature is not over a TSTInfo")
    digest = attributes.get("message_digest")
    if digest is None or not hmac.compare_digest(digest.native, hashlib.new(hash_name, token.content).digest()):
        raise VermilionError(Code.TSA_SIGNATURE_INVALID, "the token's signature is over another TSTInfo")
    _require_named(attributes, certificate)
    try:
        _verify(certificate.public_key(), signer_info["signature_algorithm"], signer_info["signature"].native, signed, hash_name)
    except InvalidSignature:
        raise VermilionError(Code.TSA_SIGNATURE_INVALID, "the token's signature does not verify") from None


def _attributes(signed: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in signed:
        values = list(each["values"])
        if each["type"].native in found or len(values) != 1:
            raise malformed("has a signed attribute twice")
        found[each["type"].native] = values[0]
    return found


def _require_named(attributes: dict[str, Any], certificate: x509.Certificate) -> None:
    """The signed attributes name the signer's certificate: the first of the list (RFC 5035 §3), by its hash."""
    der = certificate.public_bytes(Encoding.DER)
    named = attributes.get("signing_certificate_v2")
    if named is not None:
        first = named["certs"][0]
        hash_name = first["hash_algorithm"]["algorithm"].native
        matches = hash_name in _HASHES and first["cert_hash"].native == hashlib.new(hash_name, der).digest()
    else:
        named = attributes.get("signing_certificate")
        if named is None:
            raise VermilionError(Code.TSA_SIGNATURE_INVALID, "the token has no signing-certificate attribute")
        # SHA-1 is all that RFC 2634 knows; it picks among certificates here, and the signature is judged by the one that is used.
        matches = named["certs"][0]["cert_hash"].native == hashlib.sha1(der, usedforsecurity=False).digest()
    if not matches:
        raise VermilionError(Code.TSA_SIGNATURE_INVALID, "the token's signing-certificate attribute names another certificate")


def _verify(key: Any, algorithm: Any, signature: bytes, signed: bytes, hash_name: str) -> None:
    kind = algorithm["algorithm"].native
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS and kind in ("rsassa_pkcs1v15", f"{hash_name}_rsa"):
        key.verify(signature, signed, padding.PKCS1v15(), _HASHES[hash_name]())
    elif isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS and kind == "rsassa_pss":
        key.verify(signature, signed, _pss(algorithm["parameters"], hash_name), _HASHES[hash_name]())
    elif isinstance(key, ec.EllipticCurvePublicKey) and kind == f"{hash_name}_ecdsa":
        key.verify(signature, signed, ec.ECDSA(_HASHES[hash_name]()))
    elif isinstance(key, ed25519.Ed25519PublicKey) and kind == "ed25519":
        key.verify(signature, signed)
    else:
        raise VermilionError(Code.TSA_SIGNATURE_INVALID, f"the token is signed by {kind} with a key of another kind, or a weak one")


def _pss(parameters: Any, hash_name: str) -> padding.PSS:
    if parameters["hash_algorithm"]["algorithm"].native != hash_name:
        raise malformed("names two hashes for one signature")
    generator = parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native
    return padding.PSS(padding.MGF1(_HASHES[generator]()), parameters["salt_length"].native)


def _require_purpose(certificate: x509.Certificate) -> None:
    """Key purpose timeStamping, critical and alone (RFC 3161 §2.3)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError):
        usage = None
    if usage is None or not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise VermilionError(Code.TSA_UNTRUSTED, "the token's signer is not certified for timeStamping, critical and alone")


def completed(work: Any) -> Any:
    """The result of a coroutine that waits for nothing, since nothing is fetched; inside an event loop or not."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    raise VermilionError(Code.INTERNAL, "a certificate path waits for something")


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
