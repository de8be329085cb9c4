"""What a document costs in the signer's own process grows with its size, not with its square: counted in steps, not in seconds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from sealcore.hashes import hash_state
from signer.pdf import reasons
from signer.pdf.full import numbers
from signer.pdf.lean import prepare_lean
from signer.pdf.readback import continuation, quick_account
from signer.pdf.readback.reader import MOST_WORK, Reader
from signer.pdf.readback.syntax import UnreadableError
from tests.signer.pdf.documents import assemble, simple
from tests.signer.pdf.kit import Seal
from tests.signer.pdf.steps import Counted, steps_of

SMALL, GROWN = 16, 4
MOST_GROWTH: Final = 4 * 1.3  # a quadratic one would grow sixteenfold
FEW_STEPS: Final = 3000
LARGE_BYTES: Final = 4_000_000
MOST_REPEATED: Final = 20_000  # of a shape that hardly grows
LONGEST_S: Final = 3.0  # of CPU: an idle machine takes some hundredths

REFERENCES: Final = {
    "numbers.reference": numbers._reference(b"1"),
    "readback.continuation.reference_to": continuation.reference_to({1, 10}),
}
SEARCHED: Final = {  # looked for from every place of a text; the others are matched at one place
    *REFERENCES.values(),
    reasons._TELLTALE,
    reasons._ESCAPE,
    quick_account._SHOWN,
    quick_account._REFERENCES,
}


def patterns() -> Iterator[tuple[str, re.Pattern[bytes]]]:
    """Every expression that looks at a whole document, or at an appearance."""
    for module in (numbers, reasons, quick_account):
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, bytes):
                yield f"{module.__name__.removeprefix('signer.pdf.')}.{name}", value
    yield from REFERENCES.items()


PATTERNS: Final = {id(pattern): (name, pattern) for name, pattern in patterns()}
TOKENS: Final = (
    *(b"1", b"10", b"0 R ", b"1 0 R ", b"%", b" ", b"\n", b"(", b")", b"\\", b"\\(", b"[", b"]", b"<<", b">>", b"<", b">"),
    *(b"/A ", b"/F", b"/F 1 ", b"/#41", b"#", b".", b"+", b"true ", b"null", b"0000000010 00000 n \n", b"0 1\n", b"x"),
)
STARTS: Final = (
    *(
        b"",
        b"[",
        b"<<",
        b"(",
        b"<",
        b"/",
        b"/A ",
        b"/A [",
        b"/A <</B [",
        b"1 0 obj",
        b"1 0 obj<<",
        b"1 0 obj[",
        b"xref\n0 1\n",
        b"trailer<<",
    ),
    *(b"1 0 obj<</Type/XRef/W[1 2 1]", b"1 0 obj<</FT/Sig/T(a)/V ", b"\nstartxref\n"),
)
tokens = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=4).map(b"".join)


@settings(max_examples=12, deadline=None, phases=set(Phase) - {Phase.shrink, Phase.explain})  # the first text found tells enough
@given(start=st.sampled_from(STARTS), before=tokens | st.just(b""), unit=tokens, behind=tokens | st.just(b""))
@example(start=b"", before=b"", unit=b"1", behind=b"")
@example(start=b"", before=b"", unit=b"10%", behind=b"")
@example(start=b"", before=b"1", unit=b" ", behind=b"1")
@example(start=b"[", before=b"1", unit=b" ", behind=b"1 0 1]")
@example(start=b"", before=b"", unit=b"(\\(", behind=b"")
@example(start=b"(", before=b"", unit=b"\\(", behind=b"")
@example(start=b"", before=b"", unit=b"30%", behind=b"")
@example(start=b"/A [", before=b"", unit=b"1 0 R ", behind=b"")
@example(start=b"/A [", before=b"1 0 R ", unit=b"/A 11", behind=b"x")
@example(start=b"/A <</B [", before=b"", unit=b"/#41", behind=b"x[/F 1 /#41")
def test_no_expression_takes_more_than_linear_time(start: bytes, before: bytes, unit: bytes, behind: bytes) -> None:
    for name, pattern in PATTERNS.values():
        run = Counted.search if pattern in SEARCHED else Counted.match
        small, grown = (steps_of(pattern, start + before + unit * count + behind, run=run) for count in (SMALL, SMALL * GROWN))
        assert grown <= FEW_STEPS or grown <= MOST_GROWTH * small, (name, small, grown)


def test_the_counter_sees_a_quadratic_search() -> None:
    """Runs of digits, as they were searched before."""
    quadratic = re.compile(rb"1[0-9][0-9.+-]*+ ++[0-9.+-]++ ++R")
    small, grown = (steps_of(quadratic, b"1" * count) for count in (200, 800))
    assert grown > 12 * small


@given(st.lists(st.sampled_from(TOKENS), max_size=12).map(b"".join))
@settings(max_examples=15, deadline=None)
def test_the_counter_finds_what_the_engine_finds(data: bytes) -> None:
    for _name, pattern in PATTERNS.values():
        found = pattern.search(data)
        assert Counted(pattern).search(data) == (found.span() if found else None)


# --- whole documents ---------------------------------------------------------------------------------------------------------------


def digits(size: int) -> bytes:
    """Runs of digits, in a stream and in a comment."""
    run = b"1" * (400 * size)
    return simple(more={10: b"<</Length %d>>\nstream\n%b\nendstream" % (len(run), run), 11: b"(%b)" % run})


def blank_kids(size: int) -> bytes:
    """A page's kids that are numbers far apart, no references."""
    kids = b"[" + (b"1" + b" " * (100 * size)) * 4 + b"]"
    return assemble({1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"<</Type/Pages/Count 1/Kids %b>>" % kids})


def one_signature_many_references(size: int) -> bytes:
    """A signature whose references are all one large dictionary."""
    large = b"<<" + b"".join(b"/K%d(%b)" % (number, b"x" * 60) for number in range(10 * size)) + b">>"
    return simple(
        catalog=b"/AcroForm<</Fields[10 0 R]>>",
        more={
            10: b"<</FT/Sig/T(a)/V 11 0 R>>",
            11: b"<</Type/Sig/ByteRange[0 1 2 3]/Reference[%b]>>" % (b"12 0 R " * (20 * size)),
            12: large,
        },
    )


def one_lock_many_signatures(size: int) -> bytes:
    """Many signed fields whose locks name one long list of fields."""
    names = b"[" + b"".join(b"(f%d)" % number for number in range(40 * size)) + b"]"
    fields = b" ".join(b"%d 0 R" % (20 + number) for number in range(4 * size))
    signed = {20 + number: b"<</FT/Sig/T(s%d)/V 11 0 R>>" % number for number in range(4 * size)}
    return simple(
        catalog=b"/AcroForm<</Fields[%b]>>" % fields,
        more={
            11: b"<</Type/Sig/ByteRange[0 1 2 3]/Reference[<</TransformMethod/FieldMDP/TransformParams 12 0 R>>]>>",
            12: b"<</Action/Include/Fields 13 0 R>>",
            13: names,
            **signed,
        },
    )


def many_revisions(size: int) -> bytes:
    """Empty updates, one behind the other."""
    parts = [simple()]
    length, previous = len(parts[0]), int(re.findall(rb"startxref\n(\d+)", parts[0])[-1])
    for _ in range(2 * size):
        parts.append(b"xref\n0 0\ntrailer\n<</Size 5/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (previous, length))
        length, previous = length + len(parts[-1]), length
    return b"".join(parts)


def deep(size: int) -> bytes:
    """Arrays in arrays, where a value may stand that nobody looks at."""
    return simple(catalog=b"/Deep %b%b" % (b"[" * size, b"]" * size))


def many_annotations(size: int) -> bytes:
    """A page with many of them, in an array of its own."""
    return simple(
        page=b"/Annots 10 0 R", more={10: b"[%b]" % (b"11 0 R " * (100 * size)), 11: b"<</Type/Annot/Subtype/Text/Rect[0 0 1 1]>>"}
    )


def circles(size: int) -> bytes:
    """A page tree that names itself, many times."""
    return assemble({1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"<</Type/Pages/Count 1/Parent 2 0 R/Kids [%b]>>" % (b"2 0 R " * (50 * size))})


def unclosed(size: int) -> bytes:
    """Parentheses, brackets and comments without end."""
    return simple(more={10: b"%b %b %b" % (b"(a" * (100 * size), b"[<<" * (100 * size), b"%" * (100 * size))})


def many_keys(size: int) -> bytes:
    """A page, a catalog and a trailer with very many entries each, which must differ from each other."""
    keys = b"".join(b"/K%d 0" % number for number in range(min(300 * size, 35_000)))  # a dictionary has 256 kB at most
    file = simple(page=keys, catalog=keys)
    return file.replace(b"/Root 1 0 R", b"/Root 1 0 R " + keys)


def many_trailers(size: int) -> bytes:
    """Sections whose trailers have many entries, all of them different."""
    parts = [simple()]
    length, previous = len(parts[0]), int(re.findall(rb"startxref\n(\d+)", parts[0])[-1])
    for section in range(min(size, 60)):
        keys = b"".join(b"/S%dK%d 0" % (section, number) for number in range(900))
        parts.append(b"xref\n0 0\ntrailer\n<</Size 5/Root 1 0 R/Prev %d%b>>\nstartxref\n%d\n%%%%EOF\n" % (previous, keys, length))
        length, previous = length + len(parts[-1]), length
    return b"".join(parts)


DOCUMENTS: Final = [
    *(digits, blank_kids, one_signature_many_references, one_lock_many_signatures, many_revisions),
    *(deep, many_annotations, circles, unclosed, many_keys, many_trailers),
]


@pytest.mark.parametrize("make", DOCUMENTS, ids=lambda make: make.__name__)
def test_no_document_costs_more_than_in_proportion(make: Callable[[int], bytes], seal: Seal) -> None:
    """Hundreds of times as large as what takes a millisecond, a document still takes a fraction of what growth by the square would ask for."""
    size = 8
    while len(document := make(size)) < LARGE_BYTES and size < MOST_REPEATED:
        size *= 2
    state = hash_state("sha256", document)
    plan, known = seal.plan(), quick_account.KnownLooks()
    started = time.thread_time()
    prepared = prepare_lean(document, plan, state)
    # The account reads whatever the sandbox's writer was given, too.
    known.recognised(document, state, b"\n" if prepared is None else prepared.suffix, plan)
    assert time.thread_time() - started < LONGEST_S


def test_what_is_referred_to_again_and_again_ends_the_lean_way(seal: Seal) -> None:
    document = one_signature_many_references(100)
    assert len(document) < 120_000
    assert prepare_lean(document, seal.plan(), hash_state("sha256", document)) is None


def test_the_general_reader_has_an_allowance_too() -> None:
    """Sections within the data of others, each of which would be read as rows."""
    section, file = b"", b"%PDF-1.7\n"
    heads = []
    for number in range(14):
        heads.append(
            b"%d 0 obj\n<</Type/XRef/W[1 1 1]/Index[0 90000]/Size 90000/Length 270000/Prev %%010d/Root 1 0 R>>\nstream\n" % (100 + number)
        )
    offsets, position = [], len(file)
    for head in heads:
        offsets.append(position)
        position += len(head % 0)
    section = b"".join(head % offsets[(place + 1) % len(offsets)] for place, head in enumerate(heads))
    file += section + b"\x01\x00\x00" * 95_000 + b"\nstartxref\n%d\n%%%%EOF\n" % offsets[0]
    reader = Reader(file)
    with pytest.raises(UnreadableError, match="too much work"):
        for number in range(90_001, 90_010):
            reader._entry(number)
    assert reader._work <= MOST_WORK + 100_000
