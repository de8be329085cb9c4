"""The example documents' pages: one function a document, all on the same calm sheet."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import document_texts as words
from PIL import Image, ImageDraw
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_CENTER
from reportlab.lib.pagesizes import A3, A4, A5, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph

INK, SOFT, HAIR, VERMILION = HexColor("#1C1B19"), HexColor("#6B6760"), HexColor("#D9D4C8"), HexColor("#C8321F")
PAPER = HexColor("#FBFAF7")
PLAN_PIXELS = (1440, 1000)  # uncompressed RGB: the one document over gRPC's 4 MB message limit

BODY = ParagraphStyle("body", fontName="Serif", fontSize=10.5, leading=17, textColor=INK, wordWrap="CJK", spaceAfter=5)
HEAD = ParagraphStyle("head", parent=BODY, fontName="SerifBold", fontSize=11.5, leading=20, spaceBefore=8)
ENGLISH = ParagraphStyle("english", parent=BODY, wordWrap=None, fontSize=10, leading=15.5)
ENGLISH_HEAD = ParagraphStyle("english head", parent=HEAD, wordWrap=None)
SANS = ParagraphStyle("sans", parent=ENGLISH, fontName="Sans", fontSize=10, leading=16)
SANS_HEAD = ParagraphStyle("sans head", parent=SANS, fontName="SansBold", fontSize=11, spaceBefore=8)
CENTRED = ParagraphStyle("centred", parent=BODY, alignment=TA_CENTER)


class Sheet:
    """A document in the making: the canvas, the page's size and where the next line goes (points from the bottom)."""

    def __init__(self, size: tuple[float, float], title: str, *, margin: float = 24 * mm, **options: object) -> None:
        self.target = io.BytesIO()
        self.width, self.height, self.margin = size[0], size[1], margin
        self.canvas = Canvas(self.target, pagesize=size, invariant=1, pageCompression=1, initialFontName="Sans", **options)
        self.canvas.setTitle(title)
        self.canvas.setAuthor(words.OWNER_EN)
        self.canvas.setSubject("Example document of Vermilion; everything in it is invented")
        self.y = self.height - margin
        self.page = 1

    def letterhead(self, left: str, right: str) -> None:
        self.canvas.setFillColor(VERMILION)
        self.canvas.rect(self.margin, self.height - 15.2 * mm, 3 * mm, 3 * mm, stroke=0, fill=1)
        self.text(self.margin + 5 * mm, self.height - 15 * mm, left, "SansBold", 8.5)
        self.text(self.width - self.margin, self.height - 15 * mm, right, "Sans", 8, SOFT, align="right")
        self.line(self.height - 18 * mm)
        self.y = self.height - 30 * mm

    def footer(self, left: str, right: str) -> None:
        self.line(16 * mm)
        self.text(self.margin, 11 * mm, left, "Sans", 7.5, SOFT)
        self.text(self.width - self.margin, 11 * mm, right, "Sans", 7.5, SOFT, align="right")

    def text(self, x: float, y: float, value: str, font: str, size: float, colour: Color = INK, *, align: str = "left") -> None:  # noqa: PLR0917  (as reportlab names them)
        self.canvas.setFillColor(colour)
        self.canvas.setFont(font, size)
        {"left": self.canvas.drawString, "right": self.canvas.drawRightString, "centre": self.canvas.drawCentredString}[align](x, y, value)

    def line(self, y: float, *, x0: float | None = None, x1: float | None = None, colour: Color = HAIR, width: float = 0.5) -> None:
        self.canvas.setStrokeColor(colour)
        self.canvas.setLineWidth(width)
        self.canvas.line(self.margin if x0 is None else x0, y, self.width - self.margin if x1 is None else x1, y)

    def title(self, value: str, subtitle: str = "", *, font: str = "SerifBold", size: float = 20) -> None:
        self.text(self.width / 2, self.y - size, value, font, size, align="centre")
        self.y -= size + 9 * mm
        if subtitle:
            self.text(self.width / 2, self.y + 2 * mm, subtitle, "Sans", 9, SOFT, align="centre")
            self.y -= 5 * mm

    def heading(self, value: str, subtitle: str, *, font: str = "SerifBold", size: float = 22) -> None:
        self.text(self.margin, self.y - size, value, font, size)
        self.y -= size + 7 * mm
        self.text(self.margin, self.y + 1 * mm, subtitle, "Sans", 9, SOFT)
        self.y -= 7 * mm

    def paragraph(self, value: str, style: ParagraphStyle, *, width: float | None = None, indent: float = 0) -> None:
        flow = Paragraph(value, style)
        room = (width or self.width - 2 * self.margin) - indent
        _, height = flow.wrap(room, self.height)
        self.y -= style.spaceBefore + height
        flow.drawOn(self.canvas, self.margin + indent, self.y)
        self.y -= style.spaceAfter

    def table(self, rows: Sequence[Sequence[str]], columns: Sequence[float], *, right: Sequence[int], last_bold: bool = False) -> None:
        """Hairline rows; ``columns`` are left edges in points from the margin, the columns in ``right`` end where the next begins."""
        edges = [*columns, self.width - 2 * self.margin]
        for number, row in enumerate(rows):
            bold = number == 0 or (last_bold and number == len(rows) - 1)
            for column, value in enumerate(row):
                x = self.margin + (edges[column + 1] - 2 if column in right else edges[column])
                font, colour = ("SansBold" if bold else "Sans"), (SOFT if number == 0 else INK)
                self.text(x, self.y, value, font, 8 if number == 0 else 9, colour, align="right" if column in right else "left")
            self.line(self.y - 3 * mm, colour=INK if number == 0 else HAIR)
            self.y -= 8 * mm

    def next_page(self) -> None:
        self.canvas.showPage()
        self.page += 1
        self.y = self.height - self.margin

    def seal_place(self, x: float, y: float, label: str, name: str, rows: Sequence[str]) -> None:
        """Where one party seals and signs; ``x``, ``y`` in points of the block's upper left corner."""
        self.text(x, y, label, "SansBold", 9)
        self.text(x, y - 7 * mm, name, "Serif", 11)
        for number, row in enumerate(rows):
            self.text(x, y - (17 + 9 * number) * mm, row, "Sans", 8.5, SOFT)
            self.line(y - (18.5 + 9 * number) * mm, x0=x + 24 * mm, x1=x + 70 * mm)

    def done(self) -> bytes:
        self.canvas.save()
        return self.target.getvalue()


def contract_zh() -> bytes:
    sheet = Sheet(A4, words.CONTRACT_ZH_TITLE)

    def frame() -> None:
        sheet.letterhead(words.OWNER_ZH, words.CONTRACT_ZH_NUMBER)
        sheet.footer("仅供示例 · 虚构内容", f"第 {sheet.page} 页 / 共 3 页")

    frame()
    sheet.title(words.CONTRACT_ZH_TITLE, words.CONTRACT_ZH_NUMBER)
    for role, name, address in words.CONTRACT_ZH_PARTIES:
        sheet.paragraph(f"<font name='SerifBold'>{role}:</font>{name}    <font color='#6B6760'>地址:{address}</font>", BODY)
    sheet.y -= 3 * mm
    for number, (head, clauses) in enumerate(words.CONTRACT_ZH):
        if number == 3:
            sheet.next_page()
            frame()
        sheet.paragraph(head, HEAD)
        for clause in clauses:
            sheet.paragraph(clause, BODY)
    sheet.next_page()
    frame()
    sheet.title("附件一 供货清单", size=15)
    sheet.table(words.CONTRACT_ZH_GOODS, [0, 14 * mm, 50 * mm, 98 * mm, 112 * mm, 136 * mm], right=(3, 4, 5), last_bold=True)
    for x, label, (_, name, _) in (
        (sheet.margin, "甲方(盖章)", words.CONTRACT_ZH_PARTIES[0]),
        (112 * mm, "乙方(盖章)", words.CONTRACT_ZH_PARTIES[1]),
    ):
        sheet.seal_place(x, 108 * mm, label, name, ("授权代表(签字)", "日期"))
    return sheet.done()


def contract_en() -> bytes:
    sheet = Sheet(A4, words.CONTRACT_EN_TITLE)

    def frame() -> None:
        sheet.letterhead(words.OWNER_EN, "Agreement WH-SV-2026-0042")
        sheet.footer("Example document; all content is invented", f"Page {sheet.page} of 2")

    frame()
    sheet.heading(words.CONTRACT_EN_TITLE, f'between {words.OWNER_EN} ("Customer") and Qinghe Records Ltd. ("Provider")')
    for number, (head, clauses) in enumerate(words.CONTRACT_EN):
        if number == 4:
            sheet.next_page()
            frame()
        sheet.paragraph(head, ENGLISH_HEAD)
        for clause in clauses:
            sheet.paragraph(clause, ENGLISH)
    sheet.seal_place(sheet.margin, 108 * mm, "For the Customer (seal)", words.OWNER_EN, ("Name", "Date"))
    sheet.seal_place(118 * mm, 108 * mm, "For the Provider (seal)", "Qinghe Records Ltd.", ("Name", "Date"))
    return sheet.done()


def invoice() -> bytes:
    sheet = Sheet(A4, "Invoice 2026-000318")
    sheet.letterhead(words.OWNER_EN, words.OWNER_ADDRESS)
    sheet.heading("Invoice", "No. 2026-000318  ·  issued 2026-02-02  ·  due 2026-03-04", font="SansBold", size=26)
    for x, label, lines in (
        (sheet.margin, "Bill to", ("Beiling Port Authority", "Accounts payable, 4 Harbour Street", "Beiling 210017")),
        (112 * mm, "Pay to", ("Chengjiang City Bank", "Account 6200 1180 0042 7719", "Reference 2026-000318")),
    ):
        sheet.text(x, sheet.y, label, "SansBold", 8, SOFT)
        for number, line in enumerate(lines):
            sheet.text(x, sheet.y - (6 + 5.5 * number) * mm, line, "Sans", 9.5)
    sheet.y -= 34 * mm
    sheet.table(words.INVOICE_LINES, [0, 78 * mm, 104 * mm, 114 * mm, 138 * mm], right=(2, 3, 4))
    sheet.y -= 2 * mm
    for number, (label, amount) in enumerate(words.INVOICE_TOTALS):
        last = number == len(words.INVOICE_TOTALS) - 1
        sheet.text(136 * mm, sheet.y, label, "SansBold" if last else "Sans", 9.5 if last else 9, INK if last else SOFT, align="right")
        sheet.text(sheet.width - sheet.margin - 2, sheet.y, amount, "SansBold" if last else "Sans", 11 if last else 9, align="right")
        sheet.y -= 7 * mm
    sheet.paragraph(
        "Payment within thirty days. This invoice is sealed electronically; its printed copy shows the seal but only the file proves it.",
        SANS,
    )
    sheet.footer("Example document; all content is invented", "Page 1 of 1")
    return sheet.done()


def prose(title: str, subtitle: str, sections: Sequence[tuple[str, str]]) -> bytes:
    sheet = Sheet(A4, title)
    sheet.letterhead(words.OWNER_EN, subtitle)
    sheet.heading(title, subtitle)
    for head, text in sections:
        sheet.paragraph(head, SANS_HEAD)
        sheet.paragraph(text, SANS)
    sheet.footer("Example document; all content is invented", "Page 1 of 1")
    return sheet.done()


def letter() -> bytes:
    sheet = Sheet(A4, words.LETTER_TITLE)
    sheet.letterhead(words.OTHER_EN, "6 Qinghe Industrial Park, Nanpu")
    sheet.heading(words.LETTER_TITLE, "Nanpu, 12 January 2026")
    for text in words.LETTER:
        sheet.paragraph(text, ENGLISH)
        sheet.y -= 2 * mm
    sheet.seal_place(sheet.margin, sheet.y - 16 * mm, "Signed electronically by the supplier", words.OTHER_EN, ())
    sheet.footer("Example document; all content is invented", "Page 1 of 1")
    return sheet.done()


def form() -> bytes:
    sheet = Sheet(A4, "Expense claim")
    sheet.letterhead(words.OWNER_EN, "Form F-07, version 4")
    sheet.heading("Expense claim", "Fill in on screen. The department seals the finished claim.", font="SansBold")
    fields = (
        ("name", "Name", "Zhao Ming"),
        ("department", "Department", "Procurement"),
        ("purpose", "Purpose", "Visit to supplier, 8 to 9 January"),
    )
    form_fields = sheet.canvas.acroForm
    box = {
        "borderColor": HAIR,
        "fillColor": PAPER,
        "textColor": INK,
        "borderWidth": 0.5,
        "fontName": "Helvetica",
        "fontSize": 10,
        "forceBorder": True,
    }
    for name, label, value in fields:
        sheet.text(sheet.margin, sheet.y, label, "SansBold", 8.5, SOFT)
        form_fields.textfield(
            name=name, tooltip=label, value=value, x=sheet.margin, y=sheet.y - 10 * mm, width=110 * mm, height=7.5 * mm, **box
        )
        sheet.y -= 17 * mm
    sheet.text(sheet.margin, sheet.y, "Receipts attached", "SansBold", 8.5, SOFT)
    form_fields.checkbox(
        name="receipts", checked=True, x=sheet.margin, y=sheet.y - 8 * mm, size=5 * mm, borderColor=HAIR, fillColor=PAPER, textColor=INK
    )
    sheet.text(sheet.margin + 8 * mm, sheet.y - 7 * mm, "Yes, all originals", "Sans", 9)
    sheet.y -= 22 * mm
    sheet.table(
        [
            ("Item", "Date", "Amount, CNY"),
            ("Train, return", "2026-01-08", "412.00"),
            ("Hotel, one night", "2026-01-08", "468.00"),
            ("Total", "", "880.00"),
        ],
        [0, 80 * mm, 120 * mm],
        right=(2,),
        last_bold=True,
    )
    sheet.footer("Example document; all content is invented", "Page 1 of 1")
    return sheet.done()


def certificate() -> bytes:
    """Drawn landscape; the file around it is turned and cropped."""
    size = landscape(A4)
    sheet = Sheet(size, "Certificate of appreciation")
    sheet.canvas.setStrokeColor(VERMILION)
    for inset, width in ((14 * mm, 1.4), (16.5 * mm, 0.5)):
        sheet.canvas.setLineWidth(width)
        sheet.canvas.rect(inset, inset, size[0] - 2 * inset, size[1] - 2 * inset)
    sheet.text(size[0] / 2, size[1] - 58 * mm, "荣 誉 证 书", "SerifBold", 34, align="centre")
    sheet.text(size[0] / 2, size[1] - 72 * mm, "Certificate of appreciation", "Sans", 13, SOFT, align="centre")
    sheet.text(size[0] / 2, size[1] - 100 * mm, "兹授予采购服务团队二〇二五年度优秀服务团队", "Serif", 17, align="centre")
    sheet.text(size[0] / 2, size[1] - 112 * mm, "awarded to the procurement team for the year 2025", "Sans", 10, SOFT, align="centre")
    sheet.text(size[0] - 40 * mm, 45 * mm, words.OWNER_ZH, "Serif", 12, align="right")
    sheet.text(size[0] - 40 * mm, 37 * mm, "2026-01-15", "Sans", 10, SOFT, align="right")
    return sheet.done()


def receipt() -> bytes:
    size = landscape(A5)
    sheet = Sheet(size, "收款收据", margin=14 * mm)
    sheet.letterhead(words.OWNER_ZH, "编号:000742")
    sheet.title("收 款 收 据", "2026-01-20", size=18)
    for label, value in words.RECEIPT_ROWS:
        sheet.text(sheet.margin, sheet.y, label, "Sans", 9, SOFT)
        sheet.text(sheet.margin + 30 * mm, sheet.y, value, "Serif", 11.5)
        sheet.line(sheet.y - 2.6 * mm, x0=sheet.margin + 28 * mm)
        sheet.y -= 10.5 * mm
    sheet.text(size[0] - 70 * mm, 22 * mm, "收款单位(盖章)", "SansBold", 9)
    sheet.text(sheet.margin, 22 * mm, "经手人:林月", "Sans", 9)
    sheet.footer("仅供示例 · 虚构内容", "第 1 页 / 共 1 页")
    return sheet.done()


def framework() -> bytes:
    sheet = Sheet(A4, words.FRAMEWORK_TITLE)
    sheet.letterhead(words.OWNER_ZH, "WH-CG-2025-0009 / 3")
    sheet.title(words.FRAMEWORK_TITLE, words.FRAMEWORK_SUBTITLE)
    for text in words.FRAMEWORK:
        sheet.paragraph(text, BODY)
    sheet.seal_place(sheet.margin, 108 * mm, "甲方(盖章)", words.OWNER_ZH, ("授权代表(签字)", "日期"))
    sheet.seal_place(112 * mm, 108 * mm, "乙方(盖章)", words.OTHER_ZH, ("授权代表(签字)", "日期"))
    sheet.footer("仅供示例 · 虚构内容", "第 1 页 / 共 1 页")
    return sheet.done()


def site_plan() -> bytes:
    size = landscape(A3)
    sheet = Sheet(size, "Site plan, third floor", margin=18 * mm)
    sheet.letterhead(words.OWNER_EN, "Drawing WH-A-301 · scale 1:200 · revision C")
    box = (18 * mm, 26 * mm, size[0] - 36 * mm, size[1] - 52 * mm)
    sheet.canvas.drawImage(ImageReader(_plan()), *box)
    sheet.canvas.setStrokeColor(INK)
    sheet.canvas.setLineWidth(0.8)
    sheet.canvas.rect(*box)
    sheet.footer("Example document; all content is invented", "Sheet 1 of 1")
    return sheet.done()


def _plan() -> Image.Image:
    """A floor plan in flat colours: over 4 MB as pixels, a few kilobytes once a store compresses it."""
    width, height = PLAN_PIXELS
    image = Image.new("RGB", PLAN_PIXELS, "#FBFAF7")
    pen = ImageDraw.Draw(image)
    for x in range(0, width, 40):
        pen.line((x, 0, x, height), fill="#EFECE4")
    for y in range(0, height, 40):
        pen.line((0, y, width, y), fill="#EFECE4")
    rooms = [
        (80, 80, 480, 440, "#E7F0EA"), (480, 80, 760, 440, "#F3EEE0"), (760, 80, 1360, 320, "#E9EDF4"), (760, 320, 1360, 440, "#FBFAF7"),
        (80, 520, 360, 920, "#F6E9E6"), (360, 520, 720, 920, "#E9EDF4"), (720, 520, 1040, 920, "#F3EEE0"), (1040, 520, 1360, 920, "#E7F0EA"),
    ]  # fmt: skip
    for x0, y0, x1, y1, colour in rooms:
        pen.rectangle((x0, y0, x1, y1), fill=colour, outline="#1C1B19", width=7)
    for x, y in ((250, 440), (600, 440), (1040, 440), (200, 520), (520, 520), (860, 520), (1180, 520)):
        pen.rectangle((x - 30, y - 5, x + 30, y + 5), fill="#FBFAF7")
        pen.arc((x - 30, y - 30, x + 30, y + 30), 180 if y == 440 else 0, 270 if y == 440 else 90, fill="#6B6760", width=2)
    for column in range(3):
        for row in range(3):
            x, y = 400 + column * 105, 580 + row * 110
            pen.rectangle((x, y, x + 70, y + 44), fill="#FFFFFF", outline="#6B6760", width=2)
            pen.ellipse((x + 24, y + 52, x + 46, y + 74), outline="#6B6760", width=2)
    pen.ellipse((180, 180, 380, 340), fill="#FFFFFF", outline="#6B6760", width=3)
    pen.rectangle((1120, 600, 1280, 820), fill="#FFFFFF", outline="#C8321F", width=4)
    return image


DOCUMENTS: dict[str, Callable[[], bytes]] = {
    "contract-zh.pdf": contract_zh,
    "contract-en.pdf": contract_en,
    "invoice.pdf": invoice,
    "receipt-a5.pdf": receipt,
    "form-expense-claim.pdf": form,
    "2026年度 办公设备采购框架协议 及其补充条款(第三次修订稿,供双方盖章) long name with spaces and Chinese.pdf": framework,
}
