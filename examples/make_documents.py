"""Makes examples/documents: python examples/make_documents.py [FOLDER]

The same bytes every time, with one exception: the letter signed by a supplier. Its key is made here and thrown away, so that
file is written only where it is not there yet. Needs the dev dependencies and Debian's fonts-noto-cjk.
"""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import document_fonts
import document_pages as pages
import document_texts as words
import pikepdf
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers

SIGNED_AT = datetime(2026, 1, 12, 9, 0, tzinfo=UTC)
CROP_MARGIN = 20  # points cut off each side of the turned certificate


def xref_stream(document: bytes) -> bytes:
    """Object streams and a cross-reference stream, as recent producers write."""
    return _saved(document, object_stream_mode=pikepdf.ObjectStreamMode.generate, compress_streams=True)


def linearized(document: bytes) -> bytes:
    """Ordered for fast web view."""
    return _saved(document, linearize=True)


def turned_and_cropped(document: bytes) -> bytes:
    """A landscape page stored upright with /Rotate, on a larger sheet that CropBox cuts, away from the origin."""
    with pikepdf.open(io.BytesIO(document)) as pdf:
        page = pdf.pages[0]
        _, _, width, height = (float(value) for value in page.MediaBox)
        # Content turned a quarter left into an upright page; /Rotate 90 turns it back for the reader.
        page.contents_add(pikepdf.Stream(pdf, f"q 0 1 -1 0 {height + CROP_MARGIN:.3f} {CROP_MARGIN} cm\n".encode()), prepend=True)
        page.contents_add(pikepdf.Stream(pdf, b"\nQ"))
        page.MediaBox = [0, 0, height + 2 * CROP_MARGIN, width + 2 * CROP_MARGIN]
        page.CropBox = [CROP_MARGIN, CROP_MARGIN, CROP_MARGIN + height, CROP_MARGIN + width]
        page.Rotate = 90
        target = io.BytesIO()
        pdf.save(target, deterministic_id=True)
        return target.getvalue()


def uncompressed(document: bytes) -> bytes:
    """Pictures as bare samples: large as a file, small once a version store compresses it."""
    return _saved(document, stream_decode_level=pikepdf.StreamDecodeLevel.all, compress_streams=False)


def encrypted(document: bytes) -> bytes:
    """Needs a password to open. RC4 with 128 bits, because AES takes a random value and the file would differ every time."""
    protection = pikepdf.Encryption(owner="owner", user="open sesame", R=3, aes=False, metadata=False)
    with pikepdf.open(io.BytesIO(document)) as pdf:
        target = io.BytesIO()
        pdf.save(target, encryption=protection, static_id=True)
        return target.getvalue()


def damaged(document: bytes) -> bytes:
    """Cut off in the middle, as a broken download leaves it: no cross-reference table, no page tree."""
    return document[: len(document) * 2 // 5]


def signed_by_another(document: bytes) -> bytes:
    """A signature by a key that is made here and thrown away; nobody in the demo trusts it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, words.OTHER_EN), x509.NameAttribute(NameOID.COMMON_NAME, "Qinghe document signing")]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(SIGNED_AT - timedelta(days=30))
        .not_valid_after(SIGNED_AT + timedelta(days=3650))
        .add_extension(x509.KeyUsage(False, True, False, False, False, False, False, False, False), critical=True)
        .sign(key, hashes.SHA256())
    )
    bundle = serialization.pkcs12.serialize_key_and_certificates(b"supplier", key, certificate, None, serialization.NoEncryption())
    signer = signers.SimpleSigner.load_pkcs12_data(bundle, other_certs=[])
    assert signer is not None
    writer = IncrementalPdfFileWriter(io.BytesIO(document))
    metadata = signers.PdfSignatureMetadata(
        field_name="Supplier", md_algorithm="sha256", reason="Issued by the supplier", subfilter=fields.SigSeedSubFilter.PADES
    )
    return signers.sign_pdf(writer, metadata, signer=signer).getvalue()


def _saved(document: bytes, **options: object) -> bytes:
    with pikepdf.open(io.BytesIO(document)) as pdf:
        target = io.BytesIO()
        pdf.save(target, deterministic_id=True, **options)
        return target.getvalue()


def documents() -> dict[str, bytes]:
    """Every reproducible example by file name."""
    document_fonts.register(words.EVERYTHING)
    result = {name: draw() for name, draw in pages.DOCUMENTS.items()}
    minutes = pages.prose(words.MINUTES_TITLE, "15 January 2026 · third floor meeting room", words.MINUTES)
    handbook = pages.prose(words.HANDBOOK_TITLE, "Chapter 6: seals", words.HANDBOOK)
    result["minutes-xref-stream.pdf"] = xref_stream(minutes)
    result["handbook-linearized.pdf"] = linearized(handbook)
    result["certificate-rotated-cropped.pdf"] = turned_and_cropped(pages.certificate())
    result["site-plan-large.pdf"] = uncompressed(pages.site_plan())
    result["minutes-encrypted.pdf"] = encrypted(minutes)
    result["contract-damaged.pdf"] = damaged(result["contract-en.pdf"])
    return result


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "documents"
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents().items():
        (folder / name).write_bytes(document)
        print(f"{len(document):>9,}  {name}")
    signed = folder / "letter-signed-by-supplier.pdf"
    if not signed.exists():
        signed.write_bytes(signed_by_another(pages.letter()))
    print(f"{signed.stat().st_size:>9,}  {signed.name}")


if __name__ == "__main__":
    main()
