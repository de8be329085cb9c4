"""The steps around the authorities: tokens and keys before them, pictures and the first entries of register and workflow after."""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealcore.hsm import softhsm
from sealcore.ids import client_uri
from sealcore.protocol.canonical import b64url
from vermilion.ceremony.context import Ceremony
from vermilion.operation import configuration
from vermilion.operation.programs import run
from vermilion.state import keyring
from vermilion.state.identities import private_file
from vermilion.state.layout import FOLDER_MODE
from vermilion.state.office import SealPlan

ROOT = "root"
PEOPLE = "people"
AT_ONCE = 2  # tokens whose keys are made side by side; the root's RSA-4096 keeps one core busy for a while
REGISTERED = ("approver", "officer")


def tokens(ceremony: Ceremony) -> None:
    """A token, with a folder and PIN of its own, for each process that holds keys. One that was taken off the machine is not made again."""
    for name in (*keyless(ceremony), PEOPLE):
        if not ceremony.layout.token(name).exists():
            softhsm.create(ceremony.layout.token(name), f"vermilion-{name}")


def keys(ceremony: Ceremony) -> None:
    """Exactly the keys that the inventory declares, one process for each token; their public halves are recorded."""
    (ceremony.layout.pki / "keys").mkdir(mode=FOLDER_MODE, exist_ok=True)
    keyring.write_inventory(ceremony.layout, ceremony.office)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: _make_keys(ceremony, name), keyless(ceremony)))


def keyless(ceremony: Ceremony) -> list[str]:
    """The tokens whose keys are not made yet: all of a new office, and those of services that came about after it was made."""
    names = (ROOT, *(service.name for service in ceremony.services if service.has_token))
    return [name for name in names if not keyring.record_file(ceremony.layout, name).exists()]


def people(ceremony: Ceremony) -> None:
    """A key for each person of the office, in the people's token."""
    made = run(
        "vermilion.ceremony.people_keys",
        "--settings",
        ceremony.layout.token_settings(PEOPLE),
        *(person.id for person in ceremony.office.people),
    )
    private_file(keyring.record_file(ceremony.layout, PEOPLE), made)


def pictures(ceremony: Ceremony) -> None:
    """Each seal's picture, drawn from the registered name."""
    (ceremony.layout.pki / "pictures").mkdir(mode=FOLDER_MODE, exist_ok=True)
    drawings = [
        {"name": seal.name or ceremony.office.name, "caption": seal.caption, "number": seal.number, "out": str(_picture(ceremony, seal))}
        for seal in ceremony.office.seals
    ]
    run("vermilion.ceremony.picture", stdin=json.dumps(drawings).encode())


def register(ceremony: Ceremony) -> None:
    """The signer's register: its people, its pinned issuer, its seals. From here on only a quorum in it changes it."""
    folder = ceremony.layout.ceremony / "seed"
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    configuration.write_all(ceremony.layout, ceremony.office, ceremony.services)
    seed = {
        "office": ceremony.office.name,
        "people": [
            {"id": person.id, "roles": sorted(set(person.roles) & set(REGISTERED)), "public_key": b64url(_person_key(ceremony, person.id))}
            for person in ceremony.office.people
            if set(person.roles) & set(REGISTERED)
        ],
        "issuers": [b64url(keyring.spki(ceremony.layout, "approval.issuer.1"))],
        "seals": [_seal(ceremony, seal) for seal in ceremony.office.seals],
        "register_quorum": ceremony.office.register_quorum,
    }
    file = folder / "register.json"
    private_file(file, json.dumps(seed, ensure_ascii=False, indent=1).encode())
    run("signer.ceremony", "--config", ceremony.layout.config("signer"), "--seed", file, "--attachments", ceremony.layout.pki / "pictures")


def workflow(ceremony: Ceremony) -> None:
    """The workflow's units, people and clients."""
    bound = ceremony.office.client_units
    seed = {
        "units": [{"code": unit.code, "name": unit.name} for unit in ceremony.office.units],
        "people": [
            {
                "id": person.id,
                "name": person.name,
                "unit": person.unit,
                "roles": list(person.roles),
                "public_key": base64.b64encode(_person_key(ceremony, person.id)).decode(),
            }
            for person in ceremony.office.people
        ],
        "clients": [
            {"id": one, "name": name, "uri": client_uri(one), "unit": bound[name][0], "units": bound[name][1:]}
            for name, one in ceremony.office.clients.items()
        ],
    }
    file = ceremony.layout.ceremony / "seed" / "workflow.json"
    private_file(file, json.dumps(seed, ensure_ascii=False, indent=1).encode())
    run("workflow.directory.seed", "--config", ceremony.layout.config("workflow"), "--seed", file)


def _make_keys(ceremony: Ceremony, token: str) -> None:
    declared = keyring.inventory_file(ceremony.layout)
    made = run("hsm_config.keygen", "--token", token, "--settings", ceremony.layout.token_settings(token), "--inventory", declared)
    private_file(keyring.record_file(ceremony.layout, token), made)


def _picture(ceremony: Ceremony, seal: SealPlan) -> Path:
    """The first of a kind is called like the kind."""
    name = seal.kind if ceremony.office.seal(seal.kind) is seal else seal.label
    return ceremony.layout.pki / "pictures" / f"{name}.pdf"


def _seal(ceremony: Ceremony, seal: SealPlan) -> dict[str, Any]:
    certificate = x509.load_pem_x509_certificates((ceremony.layout.pki / f"{seal.label}.pem").read_bytes())[0]
    chain = x509.load_pem_x509_certificates((ceremony.layout.pki / "seals-chain.pem").read_bytes())
    picture = _picture(ceremony, seal).read_bytes()
    return {
        "id": seal.id,
        "name": ceremony.office.name,
        "kind": seal.kind,
        "key_label": seal.label,
        "certificate": b64url(certificate.public_bytes(Encoding.DER)),
        "chain": [b64url(one.public_bytes(Encoding.DER)) for one in chain],
        "pictures": [hashlib.sha256(picture).hexdigest()],
        "quorum": [
            f"seal:{seal.quorum}",
            f"resume:{seal.resume_quorum}",
            f"revoke:{seal.resume_quorum}",
            f"grant-untemplated:{seal.grant_quorum}",
        ],
        **({"certification": seal.certification} if seal.certification else {}),
    }


def _person_key(ceremony: Ceremony, person_id: str) -> bytes:
    recorded = json.loads(keyring.record_file(ceremony.layout, PEOPLE).read_bytes())
    return base64.b64decode(recorded[person_id])
