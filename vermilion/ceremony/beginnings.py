"""The steps around the authorities: tokens and keys before them, pictures and the first entries of register and workflow after."""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealcore.hsm import softhsm
from sealcore.ids import client_uri
from sealcore.protocol.canonical import b64url
from vermilion import configuration, keyring
from vermilion.ceremony.context import Room
from vermilion.ceremony.plan import OFFICE_UNIT, UNIT
from vermilion.identities import private_file
from vermilion.layout import FOLDER_MODE
from vermilion.programs import run

ROOT = "root"
PEOPLE = "people"
AT_ONCE = 2  # tokens whose keys are made side by side; the root's RSA-4096 keeps one core busy for a while
REGISTERED = ("approver", "officer")
UNTEMPLATED_QUORUM = 2  # a standing approval without a template is the higher tier


def tokens(room: Room) -> None:
    """A token, with a folder and PIN of its own, for each process that holds keys. One that was taken off the machine is not made again."""
    for name in (*keyless(room), PEOPLE):
        if not room.layout.token(name).exists():
            softhsm.create(room.layout.token(name), f"vermilion-{name}")


def keys(room: Room) -> None:
    """Exactly the keys that the inventory declares, one process for each token; their public halves are recorded."""
    (room.layout.pki / "keys").mkdir(mode=FOLDER_MODE, exist_ok=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: _make_keys(room, name), keyless(room)))


def keyless(room: Room) -> list[str]:
    """The tokens whose keys are not made yet: all of a new office, and those of services that came about after it was made."""
    names = (ROOT, *(service.name for service in room.services if service.has_token))
    return [name for name in names if not keyring.record_file(room.layout, name).exists()]


def people(room: Room) -> None:
    """A key for each person of the office, in the people's token."""
    made = run(
        "vermilion.ceremony.people_keys", "--settings", room.layout.token_settings(PEOPLE), *(person.id for person in room.office.people)
    )
    private_file(keyring.record_file(room.layout, PEOPLE), made)


def pictures(room: Room) -> None:
    """Each seal's picture, drawn from the registered name."""
    folder = room.layout.pki / "pictures"
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    drawings = [
        {"name": room.office.name, "caption": seal.caption, "number": seal.number, "out": str(folder / f"{seal.kind}.pdf")}
        for seal in room.office.seals
    ]
    run("vermilion.ceremony.picture", stdin=json.dumps(drawings).encode())


def register(room: Room) -> None:
    """The signer's register: its people, its pinned issuer, its seals. From here on only a quorum in it changes it."""
    folder = room.layout.ceremony / "seed"
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    configuration.write_all(room.layout, room.office, room.services)
    seed = {
        "office": room.office.name,
        "people": [
            {"id": person.id, "roles": sorted(set(person.roles) & set(REGISTERED)), "public_key": b64url(_person_key(room, person.id))}
            for person in room.office.people
            if set(person.roles) & set(REGISTERED)
        ],
        "issuers": [b64url(keyring.spki(room.layout, "approval.issuer.1"))],
        "seals": [_seal(room, seal.kind) for seal in room.office.seals],
        "register_quorum": 2,
    }
    file = folder / "register.json"
    private_file(file, json.dumps(seed, ensure_ascii=False, indent=1).encode())
    run("signer.ceremony", "--config", room.layout.config("signer"), "--seed", file, "--attachments", room.layout.pki / "pictures")


def workflow(room: Room) -> None:
    """The workflow's units, people and clients."""
    seed = {
        "units": [{"code": UNIT, "name": "Demonstration"}, {"code": OFFICE_UNIT, "name": room.office.name_english}],
        "people": [
            {
                "id": person.id,
                "name": person.name,
                "unit": person.unit,
                "roles": list(person.roles),
                "public_key": base64.b64encode(_person_key(room, person.id)).decode(),
            }
            for person in room.office.people
        ],
        "clients": [{"id": one, "name": name, "uri": client_uri(one), "unit": UNIT} for name, one in room.office.clients.items()],
    }
    file = room.layout.ceremony / "seed" / "workflow.json"
    private_file(file, json.dumps(seed, ensure_ascii=False, indent=1).encode())
    run("workflow.directory.seed", "--config", room.layout.config("workflow"), "--seed", file)


def _make_keys(room: Room, token: str) -> None:
    made = run("hsm_config.keygen", "--token", token, "--settings", room.layout.token_settings(token))
    private_file(keyring.record_file(room.layout, token), made)


def _seal(room: Room, kind: str) -> dict[str, Any]:
    seal = room.office.seal(kind)
    certificate = x509.load_pem_x509_certificates((room.layout.pki / f"{seal.label}.pem").read_bytes())[0]
    chain = x509.load_pem_x509_certificates((room.layout.pki / "seals-chain.pem").read_bytes())
    picture = (room.layout.pki / "pictures" / f"{kind}.pdf").read_bytes()
    return {
        "id": seal.id,
        "name": room.office.name,
        "kind": seal.kind,
        "key_label": seal.label,
        "certificate": b64url(certificate.public_bytes(Encoding.DER)),
        "chain": [b64url(one.public_bytes(Encoding.DER)) for one in chain],
        "pictures": [hashlib.sha256(picture).hexdigest()],
        "quorum": [
            f"seal:{seal.quorum}",
            f"resume:{seal.resume_quorum}",
            f"revoke:{seal.resume_quorum}",
            f"grant-untemplated:{UNTEMPLATED_QUORUM}",
        ],
        **({"certification": seal.certification} if seal.certification else {}),
    }


def _person_key(room: Room, person_id: str) -> bytes:
    recorded = json.loads(keyring.record_file(room.layout, PEOPLE).read_bytes())
    return base64.b64decode(recorded[person_id])
