"""An outside CA: root and issuing CA made by the openssl program, with CRL and OCSP over HTTP. No code of ours is in it."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.http_server import HttpServer

SEAL = "keyUsage=critical,nonRepudiation"
_CONFIG = """
[ca]
default_ca = issuing
[issuing]
database = {folder}/index.txt
serial = {folder}/serial
crlnumber = {folder}/crlnumber
new_certs_dir = {folder}
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
certificate = {folder}/issuing.pem
private_key = {folder}/issuing.key
[any]
organizationName = optional
commonName = supplied
"""


def openssl(*arguments: str | Path, stdin: bytes | None = None) -> bytes:
    """What the program prints; its failure fails the test."""
    done = subprocess.run(["openssl", *map(str, arguments)], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclass
class OutsideCa:
    """Root → issuing CA.

    ocsp    whether the responder answers
    serves  whether anybody answers at all
    """

    folder: Path
    ocsp: bool = True
    serves: bool = True
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "openssl.cnf").write_text(_CONFIG.format(folder=self.folder), "utf-8")
        (self.folder / "index.txt").touch()
        (self.folder / "serial").write_text("7001\n", "ascii")
        (self.folder / "crlnumber").write_text("01\n", "ascii")
        self._lock = threading.Lock()
        self._serve()
        self._root()
        self._authority("issuing", "pathlen:0", "keyCertSign,cRLSign", "root")
        self.crl()

    def _serve(self) -> None:
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer((outside.folder / self.path.lstrip("/")).read_bytes() if self.path.endswith(".crl") else b"")

            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(outside.answer(asked) if outside.ocsp else b"")

            def _answer(self, body: bytes) -> None:
                outside.asked.append(self.path)
                self.send_response(200 if body and outside.serves else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = HttpServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def host(self) -> str:
        """Host and port, as an operator allows them."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def _root(self) -> None:
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=Outside/CN=Outside Root", "-days", "900",
                "-keyout", self.folder / "root.key", "-out", self.folder / "root.pem",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
        for name in ("root.index", "root.crlnumber"):
            (self.folder / name).write_text("" if name.endswith("index") else "01\n", "ascii")
        config = self.folder / "root.cnf"
        text = _CONFIG.format(folder=self.folder).replace("index.txt", "root.index").replace("/crlnumber", "/root.crlnumber")
        config.write_text(text.replace("issuing.pem", "root.pem").replace("issuing.key", "root.key"), "utf-8")
        openssl("ca", "-config", config, "-gencrl", "-crldays", "30", "-out", self.folder / "root.crl.pem")
        openssl("crl", "-in", self.folder / "root.crl.pem", "-outform", "DER", "-out", self.folder / "root.crl")

    def _authority(self, name: str, constraint: str, usage: str, parent: str) -> None:
        key, request, extensions = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "ext"))
        openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/O=Outside/CN=Outside {name}", "-keyout", key, "-out", request)
        extensions.write_text(
            f"basicConstraints=critical,CA:TRUE,{constraint}\nkeyUsage=critical,{usage}\nsubjectKeyIdentifier=hash\n"
            f"authorityKeyIdentifier=keyid\ncrlDistributionPoints=URI:http://{self.host}/{parent}.crl\n",
            "utf-8",
        )
        openssl("x509", "-req", "-in", request, "-CA", self.folder / f"{parent}.pem", "-CAkey", self.folder / f"{parent}.key",
                "-CAcreateserial", "-days", "800", "-extfile", extensions, "-out", self.folder / f"{name}.pem")  # fmt: skip

    def certify(self, request_der: bytes, *rules: str, days: tuple[str, str] | None = None, sources: str = "both") -> x509.Certificate:
        """A certificate for this request by ``openssl ca``; ``rules`` are extensions, ``sources`` which addresses it names."""
        request, extensions, out = self.folder / "in.csr", self.folder / "in.ext", self.folder / "out.pem"
        request.write_bytes(openssl("req", "-inform", "DER", "-verify", stdin=request_der))
        lines = ["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid", *(rules or (SEAL,))]
        if sources in ("both", "crl"):
            lines.append(f"crlDistributionPoints=URI:http://{self.host}/issuing.crl")
        if sources in ("both", "ocsp"):
            lines.append(f"authorityInfoAccess=OCSP;URI:http://{self.host}/ocsp")
        extensions.write_text("\n".join(lines) + "\n", "utf-8")
        lifetime = ("-startdate", days[0], "-enddate", days[1]) if days else ("-days", "300")
        with self._lock:
            openssl("ca", "-config", self.folder / "openssl.cnf", "-batch", "-notext", "-in", request, "-out", out,
                    "-extfile", extensions, *lifetime)  # fmt: skip
        return x509.load_pem_x509_certificate(out.read_bytes())

    def chain(self) -> list[x509.Certificate]:
        """Issuing CA, root."""
        return [x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes()) for name in ("issuing", "root")]

    def revoke(self, certificate: x509.Certificate) -> None:
        """Revokes, and publishes the CRL that says so."""
        file = self.folder / "revoked.pem"
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
        with self._lock:
            openssl("ca", "-config", self.folder / "openssl.cnf", "-revoke", file)
        self.crl()

    def crl(self, *lifetime: str) -> bytes:
        """Publishes a new CRL, of a day if nothing else is said; DER."""
        pem, new, der = self.folder / "issuing.crl.pem", self.folder / "new.crl", self.folder / "issuing.crl"
        with self._lock:
            openssl("ca", "-config", self.folder / "openssl.cnf", "-gencrl", *(lifetime or ("-crldays", "1")), "-out", pem)
        openssl("crl", "-in", pem, "-outform", "DER", "-out", new)
        new.replace(der)
        return der.read_bytes()

    def answer(self, asked: bytes, *options: str, signer: str = "issuing") -> bytes:
        """What ``openssl ocsp`` answers to a request."""
        request, response = (self.folder / f"{threading.get_ident()}.{kind}" for kind in ("ors", "orq"))
        request.write_bytes(asked)
        folder = self.folder
        with self._lock:
            openssl("ocsp", "-index", folder / "index.txt", "-CA", folder / "issuing.pem", "-rsigner", folder / f"{signer}.pem",
                    "-rkey", folder / f"{signer}.key", "-reqin", request, "-respout", response,
                    *(options or ("-nmin", "30")))  # fmt: skip
        return response.read_bytes()
