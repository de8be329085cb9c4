"""The pages, in two languages: templates that escape by themselves, and what each of them is given. Scripts only add comfort."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from sealcore.errors import VermilionError
from verify import catalogue
from verify.report import Report
from verify.web.result import shown_result

_LANGUAGES = (
    {"key": "en", "tag": "en", "name": "English"},
    {"key": "zh", "tag": "zh-Hans", "name": "中文"},
)


@dataclass(frozen=True)
class Office:
    """What the page says about the office: its name, the SHA-256 of its root certificate, the largest file it takes."""

    name: str
    root_sha256: str
    limit_bytes: int


def upload_page(office: Office, language: str, *, fault: VermilionError | None = None) -> str:
    """The page that takes a document; with ``fault`` it says why the last one was not taken."""
    refused = None
    if fault is not None:
        reason, way_out = catalogue.refusal(language, fault.code, limit=f"{office.limit_bytes / (1024 * 1024):g}")
        refused = {"reason": reason, "way_out": way_out, "code": str(fault.code)}
    return _render("upload.html", office, language, refused=refused)


def result_page(office: Office, language: str, report: Report) -> str:
    """The page that answers for one document."""
    return _render("result.html", office, language, **shown_result(report, language))


@lru_cache(maxsize=1)
def _templates() -> Environment:
    # StrictUndefined: a value that a template names and nobody gives is a fault, not an empty place on the page.
    return Environment(loader=PackageLoader("verify.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _render(template: str, office: Office, language: str, **values: Any) -> str:
    return (
        _templates()
        .get_template(template)
        .render(
            say=partial(catalogue.text, language),
            office=office,
            name=office.name or catalogue.text(language, "page", "brand"),
            language=language,
            tag=next(each["tag"] for each in _LANGUAGES if each["key"] == language),
            languages=_LANGUAGES,
            fingerprint=" ".join(textwrap.wrap(office.root_sha256.upper(), 4)),
            **values,
        )
    )
