"""What may come in as text, and how anything is shown: nothing unseen, nothing that a terminal obeys, and every real script."""

from __future__ import annotations

import json

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.text import called, deceptive, escaped_json, require_name, require_readable, shown, unreadable

UNSEEN = {
    "an escape": "\x1b[2J", "a C1 control (CSI)": "\x9b31m", "a line end": "a\nb", "a carriage return": "a\rb", "a tab": "a\tb", "NUL": "\0",
    "delete": "\x7f", "next line": "\x85", "right-to-left override": "a\u202efdp.exe", "isolate": "\u2066a\u2069", "right-to-left mark": "a\u200fb",
    "zero width space": "a\u200bb", "word joiner": "a\u2060b", "byte order mark": "\ufeffa", "soft hyphen": "a\u00adb", "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b", "Hangul filler": "\u3164", "braille blank": "\u2800", "a tag": "a\U000e0041b", "variation": "a\ufe0f",
    "ideographic variation": "a\U000e0100", "private use": "\ue000", "unassigned": "\u0378", "undecodable": "a\udc80b", "lone surrogate": "\ud800",
    "non-joiner in Latin": "a\u200cb", "joiner in Latin": "a\u200db", "joiner at the end": "\u200d", "heaped marks": "a" + "\u0301" * 9,
    "a mark on nothing": "\u0301a", "annotation": "\ufff9a", "Mongolian separator": "a\u180eb", "graphic joiner": "a\u034fb",
}  # fmt: skip
REAL = (
    "Rechnung 5 – Müller & Söhne (final).pdf", "合同　2026年5月.pdf", "فاکتور می‌خواهم", "क्‍ष", "Việt Nam Tiếng", "Vie\u0323\u0302t", "שָׁלוֹם", "ภาษาไทย", "한국어 계약서",
    "Übergrösse m² ½", "e\u0301te\u0301 2026", "葛\U000e0100城市", "👩‍⚖️ ❤️ 👍🏽 🇫🇷 1️⃣", "N° 5\u00a0000\u202f€", "[red]bold[/red]", "Москва", "„Zitat“", "a\u0300\u0323",
)  # fmt: skip


@pytest.mark.parametrize("what", UNSEEN)
def test_what_nobody_sees_is_refused_by_code_point_and_shown_as_it(what: str) -> None:
    text = UNSEEN[what]
    assert unreadable(text) is not None
    with pytest.raises(VermilionError) as refused:
        require_readable(text, "the title")
    assert refused.value.code is Code.TEXT_DECEPTIVE
    assert "U+" in refused.value.reason or "byte " in refused.value.reason
    seen = shown(text)
    assert unreadable(seen) is None, "what is shown hides nothing"
    assert seen.encode("utf-8")
    assert shown(seen) == seen


@pytest.mark.parametrize("text", REAL)
def test_real_text_of_any_script_stays_as_it_is(text: str) -> None:
    assert unreadable(text) is None
    assert shown(text) == text


def test_a_sign_is_called_by_code_point_and_name() -> None:
    assert called("\u202e") == "U+202E RIGHT-TO-LEFT OVERRIDE"
    assert called("\x9b") == "U+009B"
    assert called("\udc80") == "byte 80"
    assert shown("a\u202eb\udc80\x1b[31m") == "a<U+202E>b<byte 80><U+001B>[31m"


def test_names_of_people_are_held_to_more_than_titles() -> None:
    require_name("علی‌رضا", "the name")  # Persian: the non-joiner is part of the spelling
    for name in ("Hanna  Weber", " Hanna", "H\u0430nna", "Hanna\u200b", "Ｈanna", "Rene\u0301"):
        with pytest.raises(VermilionError) as refused:
            require_name(name, "the name")
        assert refused.value.code is Code.TEXT_DECEPTIVE
    assert deceptive("Hanna Weber") is None


@pytest.mark.parametrize("what", UNSEEN)
def test_json_for_a_terminal_is_the_same_data_without_orders(what: str) -> None:
    value = {"name": UNSEEN[what], "more": ["\U000e0041", "合同"]}
    document = escaped_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(document) == value
    assert unreadable(document.replace("\n", "")) is None
    assert "合同" in document
