"""One of several CAs over one database, whose serial numbers come from a range so small that they must meet.

Reads settings as JSON from standard input; prints what became of each attempt, a line each: the serial number, or the refusal's rule.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from ca.ceremony import plan
from ca.issuance import profiles
from ca.issuance.certificate import Parent
from ca.issuance.issue import Issuance, Issuer, Order
from ca.issuance.lint import Linter
from ca.issuance.request import read
from sealcore.clock import SystemClock
from sealcore.errors import VermilionError
from sealcore.hsm.token import Token
from sealcore.platform.config import TokenSettings
from sealcore.platform.db import connect
from sealcore.platform.migrate import scripts, upgrade
from tests.ca.office import software_request

told = json.load(sys.stdin)
engine = connect(told["database"])
upgrade(engine, scripts("ca"))
seals = x509.load_pem_x509_certificate(Path(told["pki"], "seals.pem").read_bytes())
settled = {"seal": profiles.load()["seal"].model_copy(update={"days": told["days"]})}
with Token.open(TokenSettings.model_validate(told["token"])) as token:
    parent = Parent("seals", seals, told["public_url"], told["ocsp_url"])
    issuer = Issuer(parent, token.key(plan.load()["seals"].key))
    issuance = Issuance(
        engine,
        settled,
        {"seals": issuer},
        Linter(),
        clock=SystemClock(),
        draw_serial=lambda: 1 + secrets.randbelow(told["serials"]),
    )
    for number in range(told["attempts"]):
        request = read(software_request((NameOID.COMMON_NAME, f"{told['name']} {number}")))
        try:
            print(f"{issuance.issue(Order('seal', request)).serial_number:x}", flush=True)
        except VermilionError as refused:
            print(refused.rule, flush=True)
