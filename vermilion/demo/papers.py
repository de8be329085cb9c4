"""Small documents that the demo makes for its attempts, so that they never hang on what somebody asked to seal."""

from __future__ import annotations

import io

import pikepdf

from vermilion import client

PAPER_BYTES = 100_000  # more than such a page ever has
AMOUNT, HIGHER = b"1,000.00", b"9,000.00"


def payment_order(number: int, name: str = "") -> client.Document:
    """A page of plain text whose amount anybody can change with a text editor."""
    lines = ("Payment order", f"No. 2026-{number:04d}", "Pay to: Qinghe Office Equipment Co., Ltd.", f"Amount: CNY {AMOUNT.decode()}")
    rows = "".join(f"BT /F1 {22 if row == 0 else 13} Tf 72 {740 - 34 * row} Td ({line}) Tj ET\n" for row, line in enumerate(lines))
    with pikepdf.new() as pdf:
        font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
        pdf.add_blank_page(page_size=(595, 842))
        page = pdf.pages[0]
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        page.Contents = pdf.make_stream(rows.encode("ascii"))
        target = io.BytesIO()
        pdf.save(target, compress_streams=False, static_id=True)
    return client.Document(name or f"payment-order-{number}.pdf", target.getvalue())
