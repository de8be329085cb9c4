"""Undoes PNG predictors (PNG specification §9, ISO 32000-2 §7.4.4.4) of cross-reference streams, one byte a sample."""

from __future__ import annotations

from typing import Final

from signer.pdf.lean.grammar import NotLeanError

MOST_ROWS: Final = 2000  # with mixed predictors, which are undone one row at a time; few PDF producers mix them
_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)


def without_predictor(data: bytes, columns: int) -> bytes:
    """Undoes the predictor of rows that have one byte for its kind and ``columns`` bytes of data."""
    width = columns + 1
    count = len(data) // width
    kinds = data[::width]
    if kinds == b"\x02" * count:
        return _summed(data, columns, count)
    if kinds == b"\x00" * count:
        return b"".join(data[start + 1 : start + width] for start in range(0, len(data), width))
    if count > MOST_ROWS:
        raise NotLeanError("a cross-reference stream has mixed predictors")
    return _row_by_row(data, columns)


def _summed(data: bytes, columns: int, count: int) -> bytes:
    """Every row was written as its difference to the one above: running sums of all columns at once, in one large number.

    Each byte gets 16 bits, so that sums do not run into their neighbours; doubling the distance takes log₂(rows) steps.
    """
    size = columns * count
    spread = bytearray(2 * size)
    for column in range(columns):
        spread[2 * column :: 2 * columns] = data[column + 1 :: columns + 1]
    total = int.from_bytes(spread, "little")
    bytes_alone = int.from_bytes(b"\xff\x00" * size, "little")
    row_bits, distance = 16 * columns, 1
    while distance < count:
        total = (total + (total << (row_bits * distance))) & bytes_alone
        distance *= 2
    return total.to_bytes(2 * size, "little")[::2]


def _row_by_row(data: bytes, columns: int) -> bytes:
    result, above = bytearray(), bytes(columns)
    for start in range(0, len(data), columns + 1):
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + columns])
        if kind > _PAETH:
            raise NotLeanError("a cross-reference stream has an unknown predictor")
        for i in range(columns):
            left, corner = (row[i - 1], above[i - 1]) if i else (0, 0)
            row[i] = (row[i] + _prediction(kind, left, above[i], corner)) & 0xFF
        result += row
        above = bytes(row)
    return bytes(result)


def _prediction(kind: int, left: int, up: int, corner: int) -> int:
    if kind == _PAETH:
        return min((left, up, corner), key=lambda value: abs(left + up - corner - value))
    return (0, left, up, (left + up) // 2)[kind]
