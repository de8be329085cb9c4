"""Strangers' files and certificates are read in processes of their own (``sealcore.platform.sandbox``), each within a time: a file that takes
too long is refused alone, and the others go on.

What comes back is held to what was sent: where signatures stand in the file, which certificates a chain is made of.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from longterm.certificates import Certificate, Chain, NoPathError, build, certificate
from longterm.model import Contents, Signed, Store, placed
from longterm.plan import Addition, Stamp
from longterm.proofs import Proof, Token, prove, prove_lean
from longterm.reading import read, read_lean
from longterm.writing import write, write_lean
from sealcore.certificate_paths import MOST_INTERMEDIATES, is_chain
from sealcore.errors import Code, VermilionError
from sealcore.platform.sandbox import PRELOAD, ForkServer, Job, Limits, understood
from sealcore.text import shown

LIMITS: Final = Limits(cpu_s=30, wall_s=60.0, memory_bytes=1024 * 1024 * 1024, memory_per_byte=8)
JOB: Final = Job("longterm.sandbox:work", (*PRELOAD, "longterm.full", "pyhanko_certvalidator"), LIMITS)


class Sandbox:
    """Reads, proves, appends, builds paths. Thread-safe; each call raises what the function of that name does.

    Beyond it DOCUMENT_TOO_COMPLEX where a limit ended the process, DOCUMENT_DAMAGED for what it did not foresee.
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._server = ForkServer(replace(JOB, limits=limits))

    def close(self) -> None:
        """Ends the sandbox."""
        self._server.close()

    def read(self, document: bytes) -> Contents:
        """``reading.read``. What the compiled core understands is read here: its code is memory-safe, and its work bounded."""
        contents = read_lean(document)
        if contents is not None and contents.signed:
            return contents
        return understood(lambda: _contents(document, json.loads(self._server.call(b'["read"]', document)[0])))

    def prove(self, document: bytes, signed: Sequence[Signed]) -> tuple[Proof, ...]:
        """``proofs.prove`` of each; by the compiled core here, as in ``read``."""
        proven = prove_lean(document, signed)
        left = [one for one, proof in zip(signed, proven, strict=True) if proof is None]
        if left:
            asked = json.dumps(["prove", [_of_signed(each) for each in left]]).encode()
            others = iter(understood(lambda: _proofs(left, json.loads(self._server.call(asked, document)[0]))))
            proven = [next(others) if proof is None else proof for proof in proven]
        return tuple(proof for proof in proven if proof is not None)

    def write(self, document: bytes, addition: Addition) -> tuple[bytes, Stamp | None]:
        """``writing.write``; by the compiled core here, as in ``read``."""
        at_once = write_lean(document, addition)
        if at_once is not None:
            return at_once

        def written() -> tuple[bytes, Stamp | None]:
            suffix, told = self._server.call(json.dumps(["write", _of_addition(addition)]).encode(), document)
            byte_range = json.loads(told)
            if byte_range is None:
                return suffix, None
            start, first, second, rest = map(int, byte_range)
            if start or not len(document) <= first < second <= second + rest == len(document) + len(suffix):
                raise ValueError("a hole that is not in the update")
            return suffix, Stamp((start, first, second, rest))

        return understood(written)

    def build(self, leaf: Certificate, others: Sequence[Certificate], anchors: Sequence[Certificate], moment: datetime) -> Chain:
        """``certificates.build``."""
        facts = [_texts(each.der for each in part) for part in ((leaf,), others, anchors)]
        answer = self._server.call(json.dumps(["build", *facts, moment.isoformat()]).encode(), b"")
        return understood(lambda: _chain(json.loads(answer[0]), leaf, others, anchors))


def work(parts: list[bytes]) -> Sequence[bytes]:
    """What the process does: one of the four."""
    what, *facts = json.loads(parts[0])
    document = parts[1]
    if what == "read":
        contents = read(document)
        return [json.dumps([[_of_signed(each) for each in contents.signed], _of_store(contents.store)]).encode()]
    if what == "prove":
        return [json.dumps([_of_proof(prove(document, _signed(each))) for each in facts[0]]).encode()]
    if what == "write":
        suffix, stamp = write(document, _addition(facts[0]))
        return [suffix, json.dumps(stamp and stamp.byte_range).encode()]
    (leaf,), others, anchors = (list(map(certificate, _bytes(part))) for part in facts[:3])
    try:
        return [json.dumps(_texts(each.der for each in build(leaf, others, anchors, datetime.fromisoformat(facts[3])))).encode()]
    except NoPathError as fault:
        return [json.dumps(str(fault)).encode()]


# --- values on their way: lists of texts, numbers and base64 ---------------------------------------------------------------------


def _text(value: bytes) -> str:
    return b64encode(value).decode()


def _texts(values: Iterable[bytes]) -> list[str]:
    return [_text(each) for each in values]


def _data(value: str) -> bytes:
    return b64decode(value, validate=True)


def _bytes(values: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(map(_data, values))


def _of_signed(one: Signed) -> list[Any]:
    return [one.field, one.is_timestamp, _text(one.contents), one.byte_range]


def _signed(told: Sequence[Any]) -> Signed:
    field, is_timestamp, contents, (start, first, second, rest) = told
    return Signed(field, is_timestamp, _data(contents), (start, first, second, rest))


def _contents(document: bytes, told: Sequence[Any]) -> Contents:
    signed, store = told
    again = (_signed(each) for each in signed)
    return Contents(
        tuple(placed(document, str(one.field), bool(one.is_timestamp), [*one.byte_range], one.contents) for one in again), _store(store)
    )


def _of_store(store: Store) -> list[Any]:
    return [_texts(store.certificates), _texts(store.crls), _texts(store.ocsps)]


def _store(told: Sequence[Any]) -> Store:
    certificates, crls, ocsps = map(_bytes, told)
    return Store(certificates, crls, ocsps)


def _of_addition(one: Addition) -> list[Any]:
    vri = {key: _of_store(store) for key, store in one.vri.items()}
    return [_of_store(one.store), _text(one.identifier), one.hole_size_bytes, vri, one.field_name, one.field_label]


def _addition(told: Sequence[Any]) -> Addition:
    store, identifier, hole_size_bytes, vri, name, label = told
    return Addition(_store(store), _data(identifier), hole_size_bytes, {key: _store(each) for key, each in vri.items()}, name, label)


def _of_token(one: Token) -> list[Any]:
    return [_text(one.signer.der), _texts(each.der for each in one.certificates), one.time.isoformat(), one.hash_name]


def _chain(told: Any, leaf: Certificate, others: Sequence[Certificate], anchors: Sequence[Certificate]) -> Chain:
    if isinstance(told, str):
        raise NoPathError(shown(told[:300]))
    chain = tuple(map(certificate, _bytes(told)))
    known = bool(chain) and chain[0] == leaf and chain[-1] in anchors and {*chain[1:-1]} <= {*others}
    if not known or len(chain) > MOST_INTERMEDIATES + 2 or not is_chain([each.parsed for each in chain]):
        raise VermilionError(Code.SIGNATURE_UNTRUSTED, f"the certificate {leaf.name!r} is not trusted: its chain is none")
    return chain


def _token(told: Sequence[Any]) -> Token:
    signer, certificates, time, hash_name = told
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return Token(certificate(_data(signer)), tuple(map(certificate, _bytes(certificates))), moment, str(hash_name))


def _of_proof(one: Proof) -> list[Any]:
    token = None if one.token is None else _of_token(one.token)
    return [_text(one.signer.der), _texts(each.der for each in one.certificates), token, [_of_token(each) for each in one.tokens]]


def _proofs(signed: Sequence[Signed], told: Sequence[Any]) -> tuple[Proof, ...]:
    found = []
    for one, (signer, certificates, token, tokens) in zip(signed, told, strict=True):
        if one.is_timestamp is (token is None):
            raise ValueError("a timestamp without a token, or a token without a timestamp")
        known = tuple(map(certificate, _bytes(certificates)))
        found.append(Proof(one, certificate(_data(signer)), known, None if token is None else _token(token), tuple(map(_token, tokens))))
    return tuple(found)
