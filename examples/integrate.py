"""A business system has documents approved and sealed: python examples/integrate.py BUNDLE SEAL_ID FOLDER OUT

BUNDLE is what `vermilion clients add` made (the demo's: var/tls/demo-backend); SEAL_ID comes from `vermilion seals list`.
People approve with `vermilion forms approve FORM --as NAME`; the program waits for them.
"""

import sys
from pathlib import Path

from sealcore.config import TlsSettings
from vermilion.client import Office, in_folder

bundle, seal_id, folder, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
workflow, signer = sys.argv[5:7] or ("https://127.0.0.1:8709", "127.0.0.1:8701")
tls = TlsSettings(key_file=bundle / "key.pem", certificate_file=bundle / "cert.pem", trust_file=bundle / "trust.pem")

with Office(workflow, signer, tls) as office:
    documents = in_folder(folder)
    unfit = office.examine(seal_id, documents)  # what the signer would refuse, known before anybody is asked to approve
    documents = [document for position, document in enumerate(documents) if position not in unfit]
    form = office.apply(seal_id, documents, title=f"Documents of {folder.name}", examined=True)
    print(f"{form.number} waits for its approvers", flush=True)
    form = office.wait_approved(form.number)
    for outcome in [*unfit.values(), *office.seal(form, documents, out)]:
        print(outcome.outcome, outcome.name, outcome.code or outcome.ledger_index)
