"""What the libraries that read documents load when they first need it: a child can load nothing, so the zygote does ahead of it.

``preload`` of a job names ``load``. Nobody else imports this module.
"""

from __future__ import annotations

import importlib
from typing import Final

import pypdfium2

MODULES: Final = (
    "_strptime",
    "cryptography.hazmat.backends.openssl.backend",
    "dateutil.parser",
    "idna.uts46data",
    "lxml.etree",
    "pyhanko.pdf_utils.crypt._saslprep",
    "pyhanko.pdf_utils.filters",
    "pyhanko.pdf_utils.metadata.xmp_xml",
)
# Looked for among the system's fonts, then drawn by PDFium's own: a font that is made to measure would change how later ones are drawn.
_PAGE: Final = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj
4 0 obj<</Length 21>>stream
BT/F 9 Tf(a)Tj ET    endstream endobj
5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
trailer<</Root 1 0 R>>"""


def load() -> None:
    """Modules, and PDFium's list of the system's fonts: a child opens those that a document needs, but lists no folder."""
    for each in MODULES:
        importlib.import_module(each)
    with pypdfium2.PdfDocument(_PAGE) as document:
        page = document[0]
        page.render(scale=1).close()
        page.close()
