"""The client library: have documents approved, and sealed, each exactly once.

    with Office("https://127.0.0.1:8709", "127.0.0.1:8701", tls) as office:
        form = office.apply(seal_id, documents, title="Contracts of May")
        form = office.wait_approved(form.number)
        outcomes = office.seal(form, documents, Path("sealed"))

Every refusal is a ``sealcore.errors.VermilionError`` with a stable code.
"""

from vermilion.client.documents import Document, in_folder
from vermilion.client.earlier import Earlier
from vermilion.client.forms import Form
from vermilion.client.journal import journal_of
from vermilion.client.office import Office
from vermilion.client.outcomes import Outcome, Progress
from vermilion.client.placement import Picture, bottom_right
from vermilion.client.sink import Folder, locked

__all__ = [
    "Document",
    "Earlier",
    "Folder",
    "Form",
    "Office",
    "Outcome",
    "Picture",
    "Progress",
    "bottom_right",
    "in_folder",
    "journal_of",
    "locked",
]
