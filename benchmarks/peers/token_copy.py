"""A copy of the signer's token with certificates beside the keys: Java's key store shows a key only when its certificate is there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pkcs11
from asn1crypto import pem, x509
from pkcs11 import Attribute, CertificateType, ObjectClass

from sealcore.platform.config import TokenSettings, read_pin


class TokenCopy:
    """Runs in a helper process; the copy is there as long as the helper is. SoftHSM only."""

    def __init__(self, settings: TokenSettings, labels: Sequence[str], pki: Path) -> None:
        self._settings, self._labels, self._pki = settings, labels, pki

    def __enter__(self) -> TokenCopy:
        configuration = self._settings.softhsm_conf
        if configuration is None:
            raise ValueError("only a SoftHSM token can be copied")
        self._folder = Path(tempfile.mkdtemp(prefix="vermilion-bench-token-"))
        shutil.copytree(configuration.parent / "tokens", self._folder / "tokens")
        copied = configuration.read_text("utf-8").replace(str(configuration.parent), str(self._folder))
        self.softhsm_conf.write_text(copied, "utf-8")
        os.environ["SOFTHSM2_CONF"] = str(self.softhsm_conf)
        token = pkcs11.lib(str(self._settings.module)).get_token(token_label=self._settings.label)
        with token.open(rw=True, user_pin=read_pin(self._settings.pin_file)) as session:
            for label in self._labels:
                session.create_object(self._certificate(session, label))
        said = f"name = bench\nlibrary = {self._settings.module}\nslot = {token.slot.slot_id}\n"
        (self._folder / "sunpkcs11.cfg").write_text(said, "utf-8")
        return self

    def __exit__(self, *_fault: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def softhsm_conf(self) -> Path:
        """SOFTHSM2_CONF of the copy."""
        return self._folder / "softhsm2.conf"

    def folder(self) -> Path:
        """Where softhsm2.conf and sunpkcs11.cfg are."""
        return self._folder

    def _certificate(self, session: pkcs11.Session, label: str) -> dict[Attribute, object]:
        der = pem.unarmor((self._pki / f"{label}.pem").read_bytes())[2]
        certificate = x509.Certificate.load(der)
        key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=label)
        return {
            Attribute.CLASS: ObjectClass.CERTIFICATE,
            Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
            Attribute.TOKEN: True,
            Attribute.LABEL: label,
            Attribute.ID: key[Attribute.ID],
            Attribute.SUBJECT: certificate.subject.dump(),
            Attribute.ISSUER: certificate.issuer.dump(),
            Attribute.SERIAL_NUMBER: certificate["tbs_certificate"]["serial_number"].dump(),
            Attribute.VALUE: der,
        }
