"""A business system has documents approved and sealed: python examples/integrate.py BUNDLE SEAL_ID FOLDER OUT [WORKFLOW SIGNER]

BUNDLE is what `vermilion clients add` made (the demo's: var/tls/demo-backend); SEAL_ID comes from `vermilion seals list`.
People approve with `vermilion forms approve FORM --as NAME`; the program waits for them. WORKFLOW (https://host:port) and SIGNER
(host:port) are where the office is, as `vermilion up` shows it.
"""

import sys
from pathlib import Path

from sealcore.errors import VermilionError
from sealcore.platform.config import TlsSettings
from vermilion.client import Office, in_folder


def run(bundle: Path, seal_id: str, folder: Path, out: Path, places: tuple[str, str]) -> None:
    tls = TlsSettings(key_file=bundle / "key.pem", certificate_file=bundle / "cert.pem", trust_file=bundle / "trust.pem")
    with Office(*places, tls) as office:
        documents = in_folder(folder)
        unfit = office.examine(seal_id, documents)  # what the signer would refuse, known before anybody is asked to approve
        outcomes = list(unfit.values())
        if fit := [document for position, document in enumerate(documents) if position not in unfit]:
            form = office.apply(seal_id, fit, title=f"Documents of {folder.name}", examined=True)
            print(f"{form.number} waits for its approvers", flush=True)
            outcomes += office.seal(office.wait_approved(form.number), fit, out)
    for outcome in outcomes:
        print(outcome.outcome, outcome.name, outcome.code or outcome.ledger_index, outcome.reason or "")


if __name__ == "__main__":
    if len(sys.argv) not in (5, 7):
        sys.exit(__doc__)
    workflow, signer = sys.argv[5:] or ("https://127.0.0.1:8709", "127.0.0.1:8701")
    try:
        run(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), (workflow, signer))
    except VermilionError as fault:  # all that the library raises: a stable code, what happened, what helps
        sys.exit(f"{fault.code}: {fault.reason}\n{fault.way_out}")
