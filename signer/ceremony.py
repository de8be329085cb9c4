"""The key ceremony's part at the signer: seeding its register, once; and recording a restore from a backup.

    python -m signer.ceremony --config FILE --seed seed.json [--attachments FOLDER]
    python -m signer.ceremony --config FILE --restored-at 2026-01-31T08:00:00Z

The seed is act 0 of the register; its hash goes to the ledger, so that nobody can say later that it was another. Its form:

    {"office": "…", "register_quorum": 2,
     "people":  [{"id": UUIDv7, "roles": ["approver", "officer"], "public_key": SPKI, "name_hash": "…"}],
     "issuers": [SPKI],
     "seals":   [{"id": UUIDv7, "name": "…", "kind": "contract", "key_label": "…", "certificate": DER, "chain": [DER, …],
                  "pictures": [SHA-256 in lower hex], "quorum": ["seal:2", "resume:2"], "content_policy": "report",
                  "certification": "form-fill"}]}

``certification`` is ``final`` where documents end with the seal, ``form-fill`` where others sign later; without it the kind decides.
Bytes are base64url without padding. Pictures are looked for among the files of the attachments' folder, by their SHA-256.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from sealcore.clock import Clock, SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import load
from sealcore.platform.db import connect
from sealcore.platform.log import configure
from sealcore.platform.migrate import scripts, upgrade
from sealcore.protocol.ledger_entry import time_us
from signer.acts.changes import named_attachments
from signer.acts.model import Act, restore_act
from signer.pipeline.template import picture_size
from signer.register.store import Recorded, RegisterStore
from signer.settings import SignerSettings


def seed(store: RegisterStore, clock: Clock, description: Any, folder: Path | None) -> Recorded:
    """Seeds the register; the same seed again changes nothing, a different one raises CONFLICT."""
    if not isinstance(description, dict):
        raise VermilionError(Code.INVALID_ARGUMENT, "the seed is a JSON object")
    act = Act({**description, "kind": "seed"}, time_us(clock.now()))
    try:
        named = frozenset[bytes]().union(*map(named_attachments, description["seals"]))
        files = _files(folder, named)
        return store.record(act, files)
    except (KeyError, TypeError, AttributeError) as fault:
        raise VermilionError(Code.INVALID_ARGUMENT, f"the seed is not of the documented form ({type(fault).__name__}: {fault})") from None


def _files(folder: Path | None, named: frozenset[bytes]) -> dict[bytes, bytes]:
    contents = [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()] if folder else []
    files = {digest: content for content in contents if (digest := hashlib.sha256(content).digest()) in named}
    for digest in named - files.keys():
        raise VermilionError(
            Code.INVALID_ARGUMENT, f"no file in the attachments' folder has the SHA-256 {digest.hex()} that the seed names"
        )
    for content in files.values():
        picture_size(content)
    return files


def restored(store: RegisterStore, clock: Clock, at: str) -> Recorded:
    """Records a restore: from now on a token in which anything is dated before ``at`` is refused."""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise VermilionError(Code.INVALID_ARGUMENT, "--restored-at is an RFC 3339 time with its offset, such as 2026-01-31T08:00:00Z")
    return store.record(restore_act(math.ceil(moment.timestamp()), time_us(clock.now())))


def _open(settings: SignerSettings) -> Engine:
    engine = connect(settings.database.url)
    upgrade(engine, scripts("signer"))
    return engine


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m signer.ceremony", description="Seeds the signer's register, or records a restore.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings of the signer (TOML)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=Path, metavar="FILE", help="the first register (JSON)")
    what.add_argument("--restored-at", metavar="TIME", help="record a restore from a backup at this time (RFC 3339)")
    parser.add_argument("--attachments", type=Path, metavar="FOLDER", help="where the pictures are that the seed names")
    chosen = parser.parse_args(arguments)
    configure("signer.ceremony")
    clock = SystemClock()
    try:
        settings = load(chosen.config, SignerSettings)
        engine = _open(settings)
        store = RegisterStore(engine, audience=settings.audience)
        store.load()
        if chosen.seed is not None:
            recorded = seed(store, clock, json.loads(chosen.seed.read_text("utf-8")), chosen.attachments)
        else:
            recorded = restored(store, clock, chosen.restored_at)
        engine.dispose()
    except VermilionError as fault:
        sys.stderr.write(f"signer.ceremony: {fault}\n{fault.way_out}\n")
        return 1
    except (OSError, ValueError) as fault:
        sys.stderr.write(f"signer.ceremony: the seed cannot be read: {fault}\n")
        return 1
    sys.stdout.write(json.dumps({"acts": recorded.register.version, "ledger_index": recorded.ledger_index}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
