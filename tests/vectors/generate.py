"""Makes the published test vectors from the text of the protocol alone: ``python tests/vectors/generate.py [FOLDER]``.

Shares no code with the implementation: its own CBOR and JSON encoders, its own recursive Merkle tree (written from the
definitions in RFC 6962 §2.1), its own JWS and note assembly. From outside it takes only SHA-256, ECDSA and Ed25519.
Signatures are deterministic (RFC 6979, RFC 8032), so a second run gives the same files. The keys are for tests only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --- deterministic CBOR, RFC 8949 §4.2.1 (only the types that the protocol uses)


def cbor(value: Any) -> bytes:
    if isinstance(value, int):
        return cbor_head(0, value) if value >= 0 else cbor_head(1, -1 - value)
    if isinstance(value, bytes):
        return cbor_head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return cbor_head(3, len(text)) + text
    if isinstance(value, list):
        return cbor_head(4, len(value)) + b"".join(cbor(item) for item in value)
    if isinstance(value, dict):
        pairs = sorted((cbor(key), cbor(item)) for key, item in value.items())
        return cbor_head(5, len(pairs)) + b"".join(key + item for key, item in pairs)
    raise TypeError(type(value))


def cbor_head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes([major << 5 | code]) + number.to_bytes(size, "big")
    raise ValueError(number)


# --- RFC 8785 for what the protocol signs: no floats, keys in ASCII (so code point order is UTF-16 order)


def jcs(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


# --- RFC 6962 §2.1, by its recursive definitions


def mth(data: list[bytes]) -> bytes:
    if not data:
        return sha256(b"")
    if len(data) == 1:
        return sha256(b"\x00", data[0])
    k = split(len(data))
    return sha256(b"\x01", mth(data[:k]), mth(data[k:]))


def path(m: int, data: list[bytes]) -> list[bytes]:
    if len(data) == 1:
        return []
    k = split(len(data))
    return [*path(m, data[:k]), mth(data[k:])] if m < k else [*path(m - k, data[k:]), mth(data[:k])]


def proof(m: int, data: list[bytes]) -> list[bytes]:
    return subproof(m, data, True) if 0 < m < len(data) else []


def subproof(m: int, data: list[bytes], whole: bool) -> list[bytes]:
    if m == len(data):
        return [] if whole else [mth(data)]
    k = split(len(data))
    if m <= k:
        return [*subproof(m, data[:k], whole), mth(data[k:])]
    return [*subproof(m - k, data[k:], False), mth(data[:k])]


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


# --- keys for tests only


class P256:
    def __init__(self, name: str) -> None:
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        scalar = int.from_bytes(sha256(b"vermilion test vector key: ", name.encode()), "big") % (order - 1) + 1
        self.key = ec.derive_private_key(scalar, ec.SECP256R1())
        self.spki = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(SHA256(), deterministic_signing=True))


class Ed25519:
    def __init__(self, name: str) -> None:
        self.key = ed25519.Ed25519PrivateKey.from_private_bytes(sha256(b"vermilion test vector key: ", name.encode()))
        self.public = self.key.public_key().public_bytes_raw()
        self.spki = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def uuid7(number: int) -> str:
    return f"01981a2b-3c4d-7{number:03x}-8abc-0123456789ab"


PEOPLE = {name: (uuid7(0x100 + number), P256(name)) for number, name in enumerate(("applicant", "approver one", "approver two"))}
JTI, SEAL = uuid7(1), uuid7(2)
SIGNER, CLIENT = "https://vermilion.internal/service/signer", f"https://vermilion.internal/client/{uuid7(3)}"
TIME = 1_790_000_000
PICTURE = sha256(b"picture")
PLAIN = {"pages": [0], "rect": [396000, 60000, 515055, 179055], "picture": PICTURE, "kind": "plain"}
RIDING = {"pages": [0, 1, 2, 3], "rect": [-1, 300000, 595276, 419055], "picture": PICTURE, "kind": "riding"}
PLACEMENTS = [
    {"marks": [], "texts": {}, "certification": 0, "level": "B-T"},
    {"marks": [PLAIN], "texts": {"name": "示范有限公司", "reason": "合同审批通过"}, "certification": 1, "level": "B-T"},
    {"marks": [PLAIN, RIDING], "texts": {"location": "北京", "contact": "seals@example.com"}, "certification": 2, "level": "B-T"},
]


def hexed(value: Any) -> Any:
    """The same structure with bytes as lower hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [hexed(item) for item in value]
    if isinstance(value, dict):
        return {key: hexed(item) for key, item in value.items()}
    return value


def merkle_vectors() -> dict[str, Any]:
    # Leaves and roots of the Certificate Transparency reference tests; see README.md
    leaves = [
        bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
    ]
    known = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]
    assert [mth(leaves[: size + 1]).hex() for size in range(8)] == known, "the generator disagrees with Certificate Transparency"
    return {
        "leaves": hexed(leaves),
        "empty_root": mth([]).hex(),
        "roots": known,
        "inclusion": [{"index": m, "size": n, "proof": hexed(path(m, leaves[:n]))} for n in range(1, 9) for m in range(n)],
        "consistency": [{"old": m, "new": n, "proof": hexed(proof(m, leaves[:n]))} for n in range(1, 9) for m in range(n + 1)],
    }


def leaf_input(leaf: Any) -> bytes:
    return b"vermilion-leaf-v1" + cbor(leaf)


def manifest(size: int) -> Any:
    leaves = []
    for index in range(size):
        document = f"document {index}".encode()
        salt = sha256(b"salt", bytes([size, index]))[:16]
        leaves.append(
            {"salt": salt, "index": index, "size": size, "sha256": sha256(document), "length": len(document), **PLACEMENTS[index % 3]}
        )
    inputs = [leaf_input(leaf) for leaf in leaves]
    return {
        "root": mth(inputs).hex(),
        "leaves": [
            {"leaf": hexed(leaf), "input": data.hex(), "hash": sha256(b"\x00", data).hex(), "proof": hexed(path(index, inputs))}
            for index, (leaf, data) in enumerate(zip(leaves, inputs, strict=True))
        ],
    }


def leaf_vectors() -> dict[str, Any]:
    return {"manifests": [manifest(size) for size in (1, 2, 5)]}


def covers_of(kind: str) -> Any:
    return {
        "manifest": {"manifest": {"root": b64url(bytes.fromhex(manifest(5)["root"])), "size": 5}},
        "grant": {"grant": {"uses": 1000, "until": TIME + 86_400, "template": "none"}},
        "template": {"grant": {"uses": 20, "until": TIME + 86_400, "template": sha256(b"template").hex()}},
        "act": {"act": {"reason": "换发印章", "persons": [uuid7(7), uuid7(8)], "least_persons": 2}},
    }[kind]


def context(kind: str) -> Any:
    return {
        "jti": JTI, "form": "DEMO-2026-000001", "aud": SIGNER, "sub": CLIENT, "seal": SEAL,
        "action": "resume" if kind == "act" else "seal", "covers": covers_of(kind),
        "policy": {"id": "default", "version": 3, "quorum": 2}, "nbf": TIME, "exp": TIME + 3600,
    }  # fmt: skip


def decide(fields: Any, name: str, verdict: str, time: int) -> Any:
    person, key = PEOPLE[name]
    statement = b"vermilion-decision-v1" + jcs({**fields, "person": person, "verdict": verdict, "time": time})
    return {"person": person, "verdict": verdict, "time": time, "statement": statement.hex(), "sha256": sha256(statement).hex(),
            "signature": key.sign(statement).hex(), "public_key": key.spki.hex()}  # fmt: skip


def decision_vectors() -> dict[str, Any]:
    verdicts = (("applicant", "apply", TIME + 5), ("approver one", "approve", TIME + 60), ("approver two", "reject", TIME + 61))
    return {
        "cases": [
            {"context": context(kind), "decisions": [decide(context(kind), *verdict) for verdict in verdicts]}
            for kind in ("manifest", "grant", "template", "act")
        ]
    }


ISSUER = P256("approval issuer")
HEADER = {"alg": "ES256", "kid": b64url(sha256(ISSUER.spki)), "typ": "vermilion-approval+jws"}


def jws(header: bytes, payload: bytes) -> str:
    signing_input = f"{b64url(header)}.{b64url(payload)}"
    r, s = decode_dss_signature(ISSUER.sign(signing_input.encode()))
    return f"{signing_input}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def claims(kind: str) -> Any:
    fields = context(kind)
    verdicts = (("applicant", "apply", TIME + 5), ("approver one", "approve", TIME + 60), ("approver two", "approve", TIME + 61))
    decisions = [decide(fields, *verdict) for verdict in verdicts]
    kept = [
        {**{name: one[name] for name in ("person", "verdict", "time")}, "signature": b64url(bytes.fromhex(one["signature"]))}
        for one in decisions
    ]
    return {**fields, "iss": "https://vermilion.internal/service/workflow", "iat": TIME + 90, "decisions": kept}


def token_vectors() -> dict[str, Any]:
    good = claims("manifest")
    header, payload = jcs(HEADER), jcs(good)
    none = jcs({**HEADER, "alg": "none"})

    def without(name: str) -> Any:
        return {key: value for key, value in good.items() if key != name}

    def altered(**members: Any) -> Any:
        return jws(header, jcs({**good, **members}))

    first = good["decisions"][0]
    refused = {
        "empty": "",
        "two parts": jws(header, payload).rpartition(".")[0],
        "five parts": jws(header, payload) + "..",
        "alg none": jws(none, payload),
        "alg none without signature": f"{b64url(none)}.{b64url(payload)}.",
        "alg HS256": jws(jcs({**HEADER, "alg": "HS256"}), payload),
        "alg ES384": jws(jcs({**HEADER, "alg": "ES384"}), payload),
        "typ JWT": jws(jcs({**HEADER, "typ": "JWT"}), payload),
        "no typ": jws(jcs({key: value for key, value in HEADER.items() if key != "typ"}), payload),
        "no kid": jws(jcs({key: value for key, value in HEADER.items() if key != "kid"}), payload),
        "kid too short": jws(jcs({**HEADER, "kid": "AAAA"}), payload),
        "crit": jws(jcs({**HEADER, "crit": ["exp"]}), payload),
        "embedded key": jws(jcs({**HEADER, "jwk": {"kty": "EC"}}), payload),
        "unknown claim": altered(scope="all"),
        "repeated claim": jws(header, payload[:-1] + b',"seal":"' + SEAL.encode() + b'"}'),
        "space in payload": jws(header, payload.replace(b'":', b'": ', 1)),
        "members out of order": jws(header, json.dumps(good, ensure_ascii=False, separators=(",", ":")).encode()),
        "payload is a list": jws(header, b"[]"),
        "payload is not JSON": jws(header, b"\x00"),
        "exp as text": altered(exp=str(good["exp"])),
        "exp as float": jws(header, payload.replace(b'"exp":1790003600', b'"exp":1790003600.5')),
        "exp as true": altered(exp=True),
        "exp before nbf": altered(exp=good["nbf"] - 1),
        "aud as list": altered(aud=[SIGNER]),
        "jti not UUIDv7": altered(jti="01981a2b-3c4d-4001-8abc-0123456789ab"),
        "jti in capitals": altered(jti=JTI.upper()),
        "form without number": altered(form="DEMO"),
        "unknown action": altered(action="print"),
        "seal empty for action seal": altered(seal=""),
        "covers empty": altered(covers={}),
        "covers two things": altered(covers={**covers_of("manifest"), **covers_of("grant")}),
        "covers unknown": altered(covers={"everything": {}}),
        "manifest with unknown member": altered(covers={"manifest": {**good["covers"]["manifest"], "more": 1}}),
        "manifest of size 0": altered(covers={"manifest": {**good["covers"]["manifest"], "size": 0}}),
        "manifest with short root": altered(covers={"manifest": {"root": "AAAA", "size": 5}}),
        "grant without template": altered(covers={"grant": {"uses": 5, "until": TIME}}),
        "grant with template in capitals": altered(covers={"grant": {"uses": 5, "until": TIME, "template": "A" * 64}}),
        "act with nested object": altered(covers={"act": {"a": {"b": 1}}}, action="register"),
        "policy with unknown member": altered(policy={**good["policy"], "tier": 1}),
        "policy with negative quorum": altered(policy={**good["policy"], "quorum": -1}),
        "decision with unknown member": altered(decisions=[{**first, "note": "x"}]),
        "decision twice by one person": altered(decisions=[first, first]),
        "decision with unknown verdict": altered(decisions=[{**first, "verdict": "maybe"}]),
        "decisions as object": altered(decisions={}),
        "signature too short": jws(header, payload)[:-4],
        "signature padded": jws(header, payload) + "==",
        "signature with loose bits": loose(jws(header, payload)),
        **{f"no {name}": jws(header, jcs(without(name))) for name in sorted(good)},
    }
    return {
        "issuer_public_key": ISSUER.spki.hex(),
        "valid": [{"claims": claims(kind), "jws": jws(header, jcs(claims(kind)))} for kind in ("manifest", "grant", "template", "act")],
        "refused": refused,
        "other_issuer": altered(iss="https://vermilion.internal/service/verify"),
        "wrongly_signed": jws(header, payload).rpartition(".")[0] + "." + jws(header, b"{}").rpartition(".")[2],
    }


def loose(token: str) -> str:
    """The signature part spelled with bits set that its length leaves over: 64 bytes end in 4 free bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) | 1]


def stop_vectors() -> dict[str, Any]:
    person, key = PEOPLE["approver one"]
    cases = []
    for kind, subject in (("seal", SEAL), ("grant", JTI)):
        fields = {"subject_kind": kind, "subject": subject, "officer": person, "reason": "印章疑似被盗用", "time": "2026-09-21T06:13:20Z"}
        statement = b"vermilion-stop-v1" + jcs(fields)
        cases.append({"stop": fields, "statement": statement.hex(), "signature": key.sign(statement).hex(), "public_key": key.spki.hex()})
    return {"cases": cases}


def entry_vectors() -> dict[str, Any]:
    salts = {name: sha256(b"commitment salt", name.encode()) for name in ("form", "people", "policy")}
    values = {"form": "DEMO-2026-000001", "people": ",".join(sorted(person for person, _ in PEOPLE.values())), "policy": "default/3"}
    commitments = {name: sha256(b"vermilion-commitment-v1", salts[name], values[name].encode()) for name in values}
    jti, signature, stamp = (
        sha256(b"vermilion-jti-v1", JTI.encode()),
        sha256(b"vermilion-sig-v1", b"signature value"),
        sha256(b"vermilion-tst-v1", b"timestamp token"),
    )
    base = {"version": 1, "time": TIME * 1_000_000 + 123_456}
    entries = [
        {**base, "kind": "seal", "jti": jti, "index": 4, "attempts": 1, "spki": sha256(b"spki"), "leaf": sha256(b"leaf"),
         "signature": signature, "timestamp": stamp, "commitments": commitments},
        {**base, "kind": "seal", "jti": jti, "index": 0, "attempts": 2, "spki": sha256(b"spki"), "leaf": sha256(b"leaf"),
         "signature": signature, "timestamp": stamp, "commitments": commitments, "warnings": ["javascript", "quorum-0"]},
        {**base, "kind": "void", "jti": jti, "index": 7, "attempts": 1, "commitments": {"form": commitments["form"]}},
        {**base, "kind": "certificate", "subject": sha256(b"certificate")},
        {**base, "kind": "rehearsal"},
    ]  # fmt: skip
    encoded = [b"vermilion-entry-v1" + cbor(entry) for entry in entries]
    return {
        "commitments": {name: {"salt": salts[name].hex(), "value": values[name], "commitment": commitments[name].hex()} for name in values},
        "jti_hash": {"jti": JTI, "hash": jti.hex()},
        "signature_hash": {"signature_value": b"signature value".hex(), "hash": signature.hex()},
        "timestamp_hash": {"token": b"timestamp token".hex(), "hash": stamp.hex()},
        "entries": [
            {"entry": hexed(entry), "encoded": data.hex(), "leaf_hash": sha256(b"\x00", data).hex()}
            for entry, data in zip(entries, encoded, strict=True)
        ],
        "root": mth(encoded).hex(),
    }


def checkpoint_vectors() -> dict[str, Any]:
    origin, witness = "vermilion.example/ledger", "vermilion.example/witness"
    log_key, witness_key = Ed25519("log"), Ed25519("witness")
    log_id = sha256(origin.encode(), b"\n\x01", log_key.public)[:4]
    witness_id = sha256(witness.encode(), b"\n\x04", witness_key.public)[:4]
    root = bytes.fromhex(entry_vectors()["root"])
    body = f"{origin}\n5\n{b64(root)}\n"
    signature = log_key.key.sign(body.encode())
    cosignature = witness_key.key.sign(f"cosignature/v1\ntime {TIME}\n{body}".encode())
    line = f"— {origin} {b64(log_id + signature)}\n"
    witness_line = f"— {witness} {b64(witness_id + TIME.to_bytes(8, 'big') + cosignature)}\n"
    head_id = sha256(origin.encode(), b"\n\x04", log_key.public)[:4]
    head_read = log_key.key.sign(f"cosignature/v1\ntime {TIME - 7}\n{body}".encode())
    head_line = f"— {origin} {b64(head_id + (TIME - 7).to_bytes(8, 'big') + head_read)}\n"
    entries = [bytes.fromhex(entry["encoded"]) for entry in entry_vectors()["entries"]]
    return {
        "origin": origin,
        "size": 5,
        "root": root.hex(),
        "log_spki": log_key.spki.hex(),
        "log_key": f"{origin}+{log_id.hex()}+{b64(bytes([1]) + log_key.public)}",
        "witness_spki": witness_key.spki.hex(),
        "witness_key": f"{witness}+{witness_id.hex()}+{b64(bytes([4]) + witness_key.public)}",
        "cosigned_at": TIME,
        "signed": f"{body}\n{line}",
        "cosigned": f"{body}\n{line}{witness_line}",
        "head_read_at": TIME - 7,
        "published": f"{body}\n{line}{witness_line}{head_line}",
        "tiles": {
            "tile/0/000.p/5": b"".join(sha256(b"\x00", entry) for entry in entries).hex(),
            "tile/entries/000.p/5": b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries).hex(),
        },
        "paths": [
            {"level": 0, "index": 1234067, "width": 256, "path": "tile/0/x001/x234/067"},
            {"level": 3, "index": 0, "width": 1, "path": "tile/3/000.p/1"},
            {"level": None, "index": 999, "width": 255, "path": "tile/entries/999.p/255"},
            {"level": None, "index": 1000, "width": 256, "path": "tile/entries/x001/000"},
        ],
    }


FILES = {
    "merkle.json": merkle_vectors,
    "leaf.json": leaf_vectors,
    "decision.json": decision_vectors,
    "token.json": token_vectors,
    "stop.json": stop_vectors,
    "entry.json": entry_vectors,
    "checkpoint.json": checkpoint_vectors,
}


def main(folder: Path) -> None:
    for name, make in FILES.items():
        (folder / name).write_text(json.dumps(make(), ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
