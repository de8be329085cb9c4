"""The one page: choose or drop a PDF. Rendered here, whole, in two languages; scripts only add comfort."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape

from verify.catalogue import LANGUAGES, text

_LANGUAGE_NAMES = {"en": "English", "zh": "中文"}
_LANGUAGE_TAGS = {"en": "en", "zh": "zh-Hans"}
_SEAL = (
    '<svg viewBox="0 0 32 32" fill="currentColor" aria-hidden="true"><circle cx="16" cy="16" r="13.2" fill="none" stroke="currentColor" '
    'stroke-width="{ring}"/><path d="M16.00 10.40L17.26 14.27L21.33 14.27L18.03 16.66L19.29 20.53L16.00 18.14L12.71 20.53L13.97 16.66'
    'L10.67 14.27L14.74 14.27Z"/></svg>'
)
_COMMANDS = """\
mkdir trust
certutil -N -d sql:trust \\
  --empty-password
certutil -A -d sql:trust -n office \\
  -t C,C,C -i root.pem
pdfsig -nssdir trust document.pdf"""


@dataclass(frozen=True)
class Office:
    """What the page says about the office: its name, the SHA-256 of its root certificate, the largest file it takes."""

    name: str
    root_sha256: str
    limit_bytes: int


def upload_page(office: Office, language: str, *, message: str = "") -> str:
    """The page that takes a document; ``message`` is already HTML."""

    def say(key: str) -> str:
        return escape(text(language, "page", key))

    body = f"""\
<div class="intro">
<h1>{say("title")}</h1>
<p>{say("lead")}</p>
</div>
{message}
<form class="section" method="post" action="/?lang={language}" enctype="multipart/form-data" data-check data-checking="{say("checking")}">
<div class="drop">
{_SEAL.format(ring="0.9")}
<label class="plain-only" for="file">{say("choose")}</label>
<input id="file" type="file" name="file" accept="application/pdf,.pdf" required>
<label class="button script-only" for="file">{say("choose")}</label>
<p class="soft small script-only" data-status role="status">{say("drop")}</p>
<button class="button plain-only" type="submit">{say("check")}</button>
</div>
<p class="soft small">{say("privacy")}</p>
</form>
{without_us(office, language)}"""
    return document(office, language, title=text(language, "page", "title"), body=body)


def without_us(office: Office, language: str) -> str:
    """How to check without trusting this page: the root, its fingerprint, the commands."""

    def say(key: str) -> str:
        return escape(text(language, "page", key))

    fingerprint = " ".join(textwrap.wrap(office.root_sha256.upper(), 4))
    return f"""\
<section class="section without-us">
<h2>{say("without_us")}</h2>
<p class="soft">{say("without_us_text")}</p>
<div class="columns">
<div>
<h3>{say("root")}</h3>
<p><a href="/root.pem" download="root.pem">{say("root_download")}</a></p>
<p class="small">{say("root_compare")}</p>
<p class="mono fingerprint">{escape(fingerprint)} {copy_button(office.root_sha256, language)}</p>
<p class="small soft">{say("root_reader")}</p>
</div>
<div>
<h3>{say("commands")}</h3>
<pre tabindex="0">{escape(_COMMANDS)}</pre>
<p class="small soft">{say("commands_from")} {say("ledger_without_us")}</p>
</div>
</div>
</section>"""


def copy_button(value: str, language: str) -> str:
    """Copies ``value``; shown only where scripts run."""
    copied, failed = (escape(text(language, "page", key)) for key in ("copied", "copy_failed"))
    return (
        f'<button class="copy" type="button" data-copy="{escape(value)}" data-copied="{copied}" data-failed="{failed}">'
        f"{escape(text(language, 'page', 'copy'))}</button>"
    )


def document(office: Office, language: str, *, title: str, body: str) -> str:
    """The whole HTML document around ``body``."""
    name = escape(office.name or text(language, "page", "brand"))
    return f"""\
<!DOCTYPE html>
<html lang="{_LANGUAGE_TAGS[language]}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · {name}</title>
<link rel="icon" href="/static/mark.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/tokens.css">
<link rel="stylesheet" href="/static/page.css">
<script src="/static/page.js" defer></script>
</head>
<body>
<header class="bar">
<div class="bar-inner">
<a class="brand" href="/?lang={language}">{_SEAL.format(ring="1.6")}<span>{name}</span></a>
<nav aria-label="{escape(text(language, "page", "language"))}">
<ul class="languages">{_languages(language)}</ul>
</nav>
</div>
</header>
<main>
{body}
</main>
</body>
</html>
"""


def _languages(language: str) -> str:
    return "".join(
        f"<li><span lang={_LANGUAGE_TAGS[each]} aria-current=true>{_LANGUAGE_NAMES[each]}</span></li>"
        if each == language
        else f'<li><a href="/?lang={each}" hreflang="{_LANGUAGE_TAGS[each]}" lang="{_LANGUAGE_TAGS[each]}">{_LANGUAGE_NAMES[each]}</a></li>'
        for each in LANGUAGES
    )
