"""The languages: every sentence has its Chinese, and the right language is chosen."""

from __future__ import annotations

import ast
import gettext
import re
import string
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

from chatstages import i18n
from tests.support import ROOT

every_domain = pytest.mark.parametrize("domain", ["chatstages", "sources", "argparse"])

FOLDER = ROOT / "chatstages" / "i18n" / "zh_CN" / "LC_MESSAGES"


def catalogue(domain: str) -> Catalog:
    """Return the Chinese as translators keep it."""
    with (FOLDER / f"{domain}.po").open("rb") as file:
        return read_po(file, locale="zh_CN")


def pairs(domain: str) -> list[tuple[str, str]]:
    """Return each English sentence (of a plural, the singular) with its Chinese."""

    def first(text: object) -> str:
        return str(text) if isinstance(text, str) or not text else str(text[0])  # type: ignore[index]

    return [(first(message.id), first(message.string)) for message in catalogue(domain) if message.id]


def sentences() -> set[str]:
    """Return the sentences in the code."""
    return {str(message[2]) for message in extract_from_dir(ROOT / "chatstages")}


def placeholders(sentence: str) -> set[str]:
    """Return the names in braces, and the %-marks, of `sentence`."""
    braces = {name for _text, name, _spec, _conversion in string.Formatter().parse(sentence) if name}
    return braces | set(re.findall(r"%\(?\w*\)?[rs]", sentence))


def test_no_sentence_stands_in_an_f_string() -> None:
    """There the tool that collects them does not look."""
    hidden = []
    for path in (ROOT / "chatstages").rglob("*.py"):
        strings = [n for n in ast.walk(ast.parse(path.read_bytes())) if isinstance(n, ast.JoinedStr)]
        calls = [n for string in strings for n in ast.walk(string) if isinstance(n, ast.Call)]
        hidden += [(path.name, n.lineno) for n in calls if isinstance(n.func, ast.Name) and n.func.id == "_"]
    assert hidden == []


def test_every_sentence_has_its_chinese() -> None:
    """`make translations` shows which are new; nothing that is no longer said is kept."""
    assert {english for english, _chinese in pairs("chatstages")} == sentences()
    assert len(sentences()) > 80
    assert [english for english, chinese in pairs("chatstages") + pairs("argparse") if not chinese] == []
    assert not any(message.fuzzy for message in catalogue("chatstages"))


@pytest.mark.parametrize("domain", ["chatstages", "argparse"])
def test_a_translation_has_the_same_placeholders(domain: str) -> None:
    """Otherwise it would fail, or say less, when it is shown."""
    for english, chinese in pairs(domain):
        assert placeholders(english) == placeholders(chinese), english


@every_domain
def test_the_compiled_catalogue_is_up_to_date(domain: str) -> None:
    """The .mo file is what the program reads: a clone runs without a build step."""
    compiled = BytesIO()
    write_mo(compiled, catalogue(domain))
    compiled.seek(0)
    with (FOLDER / f"{domain}.mo").open("rb") as file:
        shipped = [(m.id, m.string) for m in read_mo(file) if m.id]
    assert shipped == [(m.id, m.string) for m in read_mo(compiled) if m.id]


@every_domain
def test_chinese_is_set_as_chinese(domain: str) -> None:
    """Its own punctuation, and a space between Chinese and Latin letters or digits."""
    han = "[\u4e00-\u9fff]"
    slips = re.compile(f"{han}[,.;!?]|{han}[A-Za-z0-9{{]|[A-Za-z0-9}}]{han}")
    assert [chinese for _english, chinese in pairs(domain) if slips.search(chinese)] == []


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "zh_TW.UTF-8"}, "zh_CN"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, "zh_CN"),
        ({"LANG": "zh_CN.UTF-8", "CHATSTAGES_LANG": "en"}, "en"),
        ({"LANG": "en_US.UTF-8", "CHATSTAGES_LANG": "zh_CN"}, "zh_CN"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
        ({"CHATSTAGES_LANG": "klingon", "LANG": "zh_CN"}, "en"),
    ],
)
def test_the_environment_chooses(
    environment: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CHATSTAGES_LANG before the locale; what we do not speak becomes English."""
    for name in ("CHATSTAGES_LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("locale.getlocale", lambda: (None, None))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert i18n.choose() == language
    assert i18n.choose("zh_CN") == "zh_CN"  # --lang before all of them


@pytest.mark.parametrize("name", ["zh_CN", "Chinese (Simplified)_China"])
def test_a_system_without_variables_is_asked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows names its languages in words."""
    for variable in ("CHATSTAGES_LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("locale.getlocale", lambda: (name, "cp936"))
    assert i18n.choose() == "zh_CN"


def test_a_missing_catalogue_leaves_the_english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sentences in the code are there in any case."""
    monkeypatch.setattr(i18n, "CATALOGUES", tmp_path)
    i18n.use("zh_CN")
    assert isinstance(i18n._catalogue, gettext.NullTranslations)
    assert i18n._("The server has ended.") == "The server has ended."
