"""Seeded garbage: what strangers and faulty programs send to an HTTP or gRPC interface, made from requests that are well formed."""

from __future__ import annotations

import json
import random
from typing import Any, Final

from google.protobuf.message import Message

STRINGS: Final = (
    *("", "\0", "x" * 20_000, "é", "\u202e", "٣", "²", "-1", "00", "1e3", "NaN", "9" * 5000, "'", "%s", "../..", "a\nb", "ff:ff", "f" * 41),
    *("2026-02-30T25:61:61Z", "99999-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999+23:59", "seals", "root", "client", "revoke"),
)
PATHS: Final = ("%00", "%ff", "%C3%28", "..", "%2e%2e%2f", "//", "%", "%zz", "A" * 9000, "%F0%9F%98%80", "\\", "%0d%0aX: y", "%ed%a0%80", "%c2%b2",
                "999999999999999999999999", "-1", "M" * 300)  # fmt: skip
METHODS: Final = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "PROPFIND", "get")
HEADERS: Final = ("If-Modified-Since", "If-None-Match", "Accept-Language", "Accept", "Content-Type", "X-Request-Id", "traceparent", "Range", "Expect",
                  "Content-Encoding", "Origin", "Upgrade")  # fmt: skip
VALUES: Final = (
    *("", "0", "-1", "9" * 30, "bytes=0-0,1-1", "zh;q=nan, en;q=inf", "*;q=1e999", "*", 'W/"x"', "gzip", "websocket", "00-" + "f" * 32 + "-zz"),
    *(f"Mon, {day} Jan {year} {hour}:00:00 {zone}"
      for day, year, hour, zone in (("01", "9" * 20, "00", "GMT"), ("9" * 20, "2026", "00", "GMT"), ("01", "2026", "9" * 20, "GMT"),
                                    ("01", "2026", "00", "+" + "9" * 20), ("01", "0001", "00", "+2359"), ("31", "9999", "00", "-2359"))),
    *("multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "x" * 5000, "application/json; charset=nope"),
)  # fmt: skip
_JSON: Final[tuple[object, ...]] = (None, True, -1, 2**63, 10**400, 1.5, float("nan"), "", "\0", "\ud800", "x" * 50_000, [], {})


class Garbage:
    """Draws one thing after another from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def octets(self, most: int) -> bytes:
        """Random bytes."""
        return self.random.randbytes(self.random.randrange(most))

    def mutant(self, data: bytes) -> bytes:
        """Almost ``data``."""
        result, draw = bytearray(data or b"x"), self.random
        for _ in range(draw.choice((1, 2, 9))):
            at = draw.randrange(len(result) + 1)
            match draw.randrange(4):
                case 0:
                    result[at : at + 1] = draw.randbytes(1)
                case 1:
                    del result[at : at + draw.randrange(1, 20)]
                case 2:
                    result[at:at] = draw.choice((b"\0", b"\\u0000", b"\\ud800", b"1e400", b"[", b"0\x80", b"\x84\xff\xff\xff\xff"))
                case _:
                    result = result[:at]
        return bytes(result)

    def json(self, value: Any) -> bytes:
        """JSON of almost this value."""
        if self.random.random() < 0.03:
            return b"[" * 50_000
        return json.dumps(self._bent(value)).encode("utf-8", "surrogatepass")

    def _bent(self, value: Any) -> Any:
        if self.random.random() < 0.12:
            return self.random.choice(_JSON)
        if isinstance(value, dict):
            return {key: self._bent(each) for key, each in value.items() if self.random.random() > 0.05}
        return [self._bent(each) for each in value] if isinstance(value, list) else value

    def path(self, path: str) -> str:
        """Almost this path, with a query now and then."""
        draw = self.random
        parts = path.split("/")
        match draw.randrange(4):
            case 0:
                parts[draw.randrange(1, len(parts))] = draw.choice(PATHS)
            case 1:
                parts.append(draw.choice(PATHS))
        query = f"?{draw.choice(('lang', 'limit', 'after', 'before', 'state', ''))}={draw.choice(PATHS)}" if draw.random() < 0.3 else ""
        return "/".join(parts) + query

    def request(self, path: str, body: bytes, kind: str) -> bytes:
        """One HTTP/1.1 request after which the connection is to be closed."""
        draw = self.random
        method = draw.choice(METHODS) if draw.random() < 0.4 else draw.choice(("GET", "POST"))
        body = b"" if method in ("GET", "HEAD") else draw.choice((body, self.mutant(body), self.mutant(body), self.octets(200), b""))
        headers = [("Host", "127.0.0.1"), ("Content-Type", kind), ("Connection", "close"), ("Content-Length", str(len(body)))]
        headers += [(draw.choice(HEADERS), draw.choice(VALUES)) for _ in range(draw.randrange(3))]
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return f"{method} {self.path(path)} HTTP/1.1\r\n{head}\r\n".encode() + body

    def message(self, empty: Message, known: tuple[bytes, ...]) -> bytes:
        """Bytes for a method that takes messages of this type: a filled one, one that is bent, or none at all."""
        draw = self.random
        self._fill(empty, known, depth=0)
        filled = empty.SerializeToString()
        return draw.choice((filled, filled, filled, self.mutant(filled), self.octets(60)))

    def _fill(self, message: Any, known: tuple[bytes, ...], *, depth: int) -> None:
        for field in message.DESCRIPTOR.fields:
            if self.random.random() < 0.2 or depth > 4:
                continue
            many = field.is_repeated
            for _ in range(self.random.randrange(3) if many else 1):
                if field.message_type is not None:
                    inner = getattr(message, field.name).add() if many else getattr(message, field.name)
                    self._fill(inner, known, depth=depth + 1)
                elif many:
                    getattr(message, field.name).append(self._scalar(field, known))
                else:
                    setattr(message, field.name, self._scalar(field, known))

    def _scalar(self, field: Any, known: tuple[bytes, ...]) -> Any:
        draw = self.random
        if field.cpp_type == field.CPPTYPE_STRING:
            data = draw.choice((*known, self.mutant(draw.choice(known)), self.octets(100), bytes(32)))
            return data if field.type == field.TYPE_BYTES else draw.choice((*STRINGS, data.decode("latin-1")))
        if field.cpp_type == field.CPPTYPE_ENUM:
            return draw.choice((*field.enum_type.values_by_number, 99))
        if field.cpp_type in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
            return draw.choice((0.0, -1.0, float("nan"), float("inf")))
        if field.cpp_type == field.CPPTYPE_BOOL:
            return draw.random() < 0.5
        bits = 64 if field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64) else 32
        signed = field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64)
        return draw.choice((0, 1, 200, 2 ** (bits - 1) - 1, -(2 ** (bits - 1)) if signed else 2**bits - 1))
