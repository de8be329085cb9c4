"""Outside TSAs for tests: certificates made by openssl; answers by `openssl ts` and by pyHanko, both behind a small web server.

Misbehaviour is one change to what an honest TSA answers, so that each test shows which check notices it.
"""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from asn1crypto import keys as asn1_keys
from asn1crypto import pem, tsp
from asn1crypto import x509 as asn1_x509
from pyhanko.sign.timestamps import DummyTimeStamper

from tests.support.http_server import HttpServer
from timestamp.client.settings import HttpSource

REPLY = "application/timestamp-reply"


def openssl(*arguments: str | Path, cwd: Path) -> None:
    """Runs openssl; a failure fails the test."""
    done = subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


@dataclass
class OpensslCa:
    """A root, an intermediate CA and timestamp units, all made by openssl in ``folder``."""

    folder: Path
    name: str = "Outside"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._authority("root", f"/O={self.name}/CN={self.name} Root", "-x509", "-days", "900")
        self._authority("sub", f"/O={self.name}/CN={self.name} Timestamping CA")
        self._issue("sub", "root", "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n", "-days", "800")

    @property
    def root(self) -> Path:
        """The anchor, PEM."""
        return self.folder / "root.pem"

    @property
    def issuing(self) -> Path:
        """The CA that certifies the units, PEM."""
        return self.folder / "sub.pem"

    def unit(self, name: str, usage: str = "critical,timeStamping", *dates: str) -> tuple[Path, Path]:
        """Key and certificate of a timestamp unit."""
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.pem"
        if not certificate.exists():
            self._authority(name, f"/O={self.name}/CN={name}")
            extensions = f"basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\n"
            self._issue(name, "sub", extensions, *(dates or ("-days", "300")))
        return key, certificate

    def web(self, name: str, usage: str) -> tuple[Path, Path]:
        """Key (0600) and certificate of a web server (serverAuth) or of its client (clientAuth)."""
        self._authority(name, f"/CN={name}")
        extensions = f"subjectAltName=IP:127.0.0.1\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\n"
        self._issue(name, "root", extensions, "-days", "300")
        return self.folder / f"{name}.key", self.folder / f"{name}.pem"

    def certify(self, public_key: bytes, name: str) -> Path:
        """The certificate of a unit whose key is elsewhere."""
        (self.folder / f"{name}.pub").write_bytes(public_key)
        extensions = "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n"
        self._extensions(name, extensions)
        openssl(
            *("x509", "-new", "-force_pubkey", f"{name}.pub", "-subj", f"/CN={name}", "-CA", "sub.pem", "-CAkey", "sub.key"),
            *("-extfile", f"{name}.ext", "-days", "300", "-out", f"{name}.pem"), cwd=self.folder,
        )  # fmt: skip
        return self.folder / f"{name}.pem"

    def crl(self, name: str) -> Path:
        """The present, empty CRL of ``root`` or ``sub``."""
        base = self.folder / f"{name}-crl"
        base.mkdir(exist_ok=True)
        (base / "index.txt").write_text("")
        (base / "number").write_text("01\n")
        (base / "ca.cnf").write_text(
            "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\ncrlnumber = number\ndefault_md = sha256\ndefault_crl_days = 5\n"
        )
        names = ("-keyfile", f"../{name}.key", "-cert", f"../{name}.pem", "-out", "out.crl")
        openssl("ca", "-config", "ca.cnf", "-gencrl", *names, cwd=base)
        return base / "out.crl"

    def _authority(self, name: str, subject: str, *how: str) -> None:
        extensions = ("-addext", "keyUsage=critical,keyCertSign,cRLSign") if how else ()
        out = (f"{name}.pem" if how else f"{name}.csr",)
        openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-subj", subject, *how, *extensions, "-out", *out,
                cwd=self.folder)  # fmt: skip

    def _issue(self, name: str, issuer: str, extensions: str, *dates: str) -> None:
        self._extensions(name, extensions)
        if "-days" in dates:
            issued: tuple[str, ...] = (
                "x509",
                "-req",
                "-in",
                f"{name}.csr",
                "-CA",
                f"{issuer}.pem",
                "-CAkey",
                f"{issuer}.key",
                "-CAcreateserial",
            )
            openssl(*issued, "-extfile", f"{name}.ext", *dates, "-out", f"{name}.pem", cwd=self.folder)
            return
        (self.folder / "index.txt").write_text("")
        (self.folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\nnew_certs_dir = .\nrand_serial = yes\ndefault_md = sha256\npolicy = p\n"
            "[p]\nO = optional\nCN = supplied\n"
        )
        issued = ("ca", "-batch", "-config", "ca.cnf", "-in", f"{name}.csr", "-cert", f"{issuer}.pem", "-keyfile", f"{issuer}.key")
        openssl(*issued, "-extfile", f"{name}.ext", *dates, "-out", f"{name}.pem", "-notext", cwd=self.folder)

    def _extensions(self, name: str, extensions: str) -> None:
        more = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        (self.folder / f"{name}.ext").write_text(extensions + more)


@dataclass(frozen=True)
class Answer:
    """What a TSA sends."""

    body: bytes
    status: int = 200
    content_type: str = REPLY
    headers: tuple[tuple[str, str], ...] = ()
    drip_s: float = 0.0  # between one octet and the next


Tsa = Callable[[bytes], Answer]


@dataclass
class Web:
    """A TSA behind HTTP; what it does may be changed while it runs."""

    tsa: Tsa
    tls: ssl.SSLContext | None = None
    requests: int = 0
    seen: list[dict[str, str]] = field(default_factory=list)  # the header fields of each request
    connections: set[Any] = field(default_factory=set)

    def __enter__(self) -> Web:
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                web.requests += 1
                web.seen.append(dict(self.headers))
                web.connections.add(self.client_address)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._send(web.tsa(body))

            def _send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                fields = {"Content-Type": answer.content_type, "Content-Length": str(len(answer.body)), **dict(answer.headers)}
                for name, value in fields.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    if not answer.drip_s:
                        self.wfile.write(answer.body)
                    for octet in answer.body if answer.drip_s else b"":
                        self.wfile.write(bytes((octet,)))
                        time.sleep(answer.drip_s)
                except OSError:
                    self.close_connection = True  # the client has gone

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = HttpServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_fault: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/tsa"

    def source(self, ca: OpensslCa, name: str = "outside", **more: Any) -> HttpSource:
        """The settings of this source."""
        return HttpSource(**{"name": name, "url": self.url, "anchors_file": ca.root, "issuers_file": ca.issuing, **more})


class Forger(DummyTimeStamper):
    """pyHanko's TSA; ``change`` alters the fields of the TSTInfo before they are signed."""

    def __init__(self, key: Path, certificate: Path, change: Callable[[dict[str, Any]], None] = lambda _info: None, **how: Any) -> None:
        super().__init__(
            asn1_x509.Certificate.load(pem.unarmor(certificate.read_bytes())[2]),
            asn1_keys.PrivateKeyInfo.load(pem.unarmor(key.read_bytes())[2]),
            **how,
        )
        self.change = change
        self.bad_signature = False

    def _build_tst_info(self, message_imprint: Any, dt: Any, req: Any) -> Any:
        honest = super()._build_tst_info(message_imprint, dt, req)
        fields = {name: honest[name] for name in ("version", "policy", "message_imprint", "serial_number", "gen_time", "nonce", "tsa")}
        self.change(fields)
        return tsp.TSTInfo(fields)

    def _sign_tst_info(self, *arguments: Any) -> Any:
        signature, attributes = super()._sign_tst_info(*arguments)
        return (signature[:-1] + bytes((signature[-1] ^ 1,)) if self.bad_signature else signature), attributes

    def __call__(self, query: bytes) -> Answer:
        return Answer(self.request_tsa_response(tsp.TimeStampReq.load(query)).dump())


def pyhanko_tsa(ca: OpensslCa, unit: str = "unit", change: Callable[[dict[str, Any]], None] = lambda _info: None, **how: Any) -> Forger:
    """pyHanko's DummyTimeStamper under this CA."""
    return Forger(*ca.unit(unit), change, **how)


def openssl_tsa(ca: OpensslCa, folder: Path, policy: str = "1.2.3.4.1") -> Tsa:
    """`openssl ts -reply` under this CA."""
    key, certificate = ca.unit("openssl-unit")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "serial").write_text("01\n")
    (folder / "ts.cnf").write_text(
        "[tsa]\ndefault_tsa = t\n[t]\nserial = serial\nsigner_digest = sha256\n"
        f"default_policy = {policy}\ndigests = sha256, sha384, sha512\naccuracy = secs:1\nordering = no\ness_cert_id_alg = sha256\n"
    )
    one = threading.Lock()

    def reply(query: bytes) -> Answer:
        with one:
            (folder / "query").write_bytes(query)
            openssl(
                *("ts", "-reply", "-config", "ts.cnf", "-queryfile", "query", "-signer", certificate, "-inkey", key),
                *("-chain", ca.issuing, "-out", "reply"), cwd=folder,
            )  # fmt: skip
            return Answer((folder / "reply").read_bytes())

    return reply


def past(days: float) -> str:
    """A date as openssl takes it."""
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")
