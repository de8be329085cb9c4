"""The signer as it is, on an SQLite database that cannot grow by more than some pages after the start.

python cramped.py PAGES --config FILE
"""

import sys
from functools import partial
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from sealcore.service import main
from signer.app import build
from signer.settings import SignerSettings
from signer.worker import process

pages = int(sys.argv[1])


@event.listens_for(Engine, "connect")
def limit(connection: Any, _record: Any) -> None:
    """``max_page_count`` makes SQLite answer SQLITE_FULL, as a full disk does."""
    (count,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={count + pages}")  # of this connection: each worker may add as many


if __name__ == "__main__":
    if "--line" in sys.argv:
        sys.exit(process.main(sys.argv[2:]))
    sys.exit(main("signer", SignerSettings, partial(build, worker_command=sys.argv[:2]), sys.argv[2:]))
