"""Walks the routes of an application with values that no honest caller sends. Whatever comes back, it is no fault of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import httpx

VALUES: Final = (
    *("9" * 4503, "0" * 4301, "1" + "0" * 12_000, "-" + "9" * 5000, "1e9999", "0x10", "1_0"),
    *("%C2%B2", "%D9%A3", "%EF%BC%91", "%00", "a%00b", "%FF%FE", "%ED%A0%80", "%E2%80%AE", "%0D%0AX:%20y", "%25%30%30", "%"),
    *(
        "..",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "a" * 300,
        "a" * 12_000,
        "x000/" * 900 + "000",
        "x001/" * 1500 + "000",
        "/" * 3000,
        "%2f" * 3000,
        "%5c..%5c",
        "+",
        "~",
        ";a=b",
    ),
    *("null", "[]", "{}", "%7B%22a%22:1%7D", "'%20OR%201=1--", "${jndi:x}", "%3Cscript%3E"),
)
HEADERS: Final = (
    *({"If-None-Match": value} for value in ('"' * 5000, "*", "W/", ",a" * 4000, "²")),
    *({"If-Modified-Since": value} for value in ("9" * 5000, "Mon, 99 Foo 99999 99:99:99 GMT", "Thu, 01 Jan 1970 00:00:00 +99999999", "")),
    *({"Accept-Language": value} for value in ("9" * 5000, "en;q=" + "9" * 5000, ",;=" * 4000, "zh-" * 4000, "²")),
    *({"X-Request-Id": value} for value in ("9" * 5000, "²", "")),
    *({"traceparent": value} for value in ("00-" + "9" * 5000, "00-zz-zz-zz", "²")),
    *(
        {"Content-Type": value}
        for value in ("multipart/form-data", "multipart/form-data; boundary=" + "b" * 5000, "application/json; charset=²", ";" * 5000)
    ),
    *({"Range": value} for value in ("bytes=" + "9" * 5000 + "-", "bytes=" + "0-1," * 3000)),
    *({"Cookie": "a=" + "9" * 5000}, {"Host": "²"}, {"Forwarded": "for=" + "9" * 5000}, {"X-Forwarded-For": "9" * 5000}),
)
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X" * 30)

Send = Callable[..., httpx.Response]
"""As ``httpx.Client.request``."""


def patterns(routes: Iterable[Any]) -> list[str]:
    """The paths of Starlette's and FastAPI's routes, mounted ones too."""
    found: list[str] = []
    for route in routes:
        found += patterns(route.routes) if getattr(route, "routes", None) else [route.path]
    return found


def walk(
    paths: Iterable[str],
    send: Send,
    *,
    queries: Mapping[str, Iterable[str]] | None = None,
    headers: Iterable[Mapping[str, str]] = HEADERS,
    is_problem: bool = True,
) -> int:
    """Asks each path for each strange value of each part of it; how many were asked for.

    The test fails at a status that says that the fault is ours, and at a refusal that is no problem+json, where those are the rule.
    """
    count = 0
    for method, path, strange in _requests(paths, queries or {}, list(headers)):
        answer = send(method, path, headers=strange)
        said = f"{method} {path[:100]} {str(strange)[:100]}: {answer.status_code} {answer.text[:300]}"
        assert answer.status_code < 500 or ("healthz" in path and answer.status_code == 503), said
        if is_problem and answer.status_code >= 400 and method != "HEAD" and "healthz" not in path:
            assert answer.headers["content-type"] in ("application/problem+json", "text/html; charset=utf-8"), said
        count += 1
    return count


def _requests(
    paths: Iterable[str], queries: Mapping[str, Iterable[str]], headers: Iterable[Mapping[str, str]]
) -> Iterator[tuple[str, str, dict[str, bytes]]]:
    for path in paths:
        plain = _filled(path, "x")
        for method in METHODS:
            yield method, plain, {}
        for each in headers:
            yield "GET", plain, {name: value.encode("latin-1") for name, value in each.items()}
        for value in VALUES:
            if "{" in path and not (filled := _filled(path, value)).startswith("//"):  # which is no path to a client
                yield "GET", filled, {}
            for name in queries.get(path, ()):
                yield "GET", f"{plain}?{name}={value}", {}


def _filled(path: str, value: str) -> str:
    """Each part in braces replaced by the value."""
    pieces = path.split("{")
    return pieces[0] + "".join(value + piece.partition("}")[2] for piece in pieces[1:])
