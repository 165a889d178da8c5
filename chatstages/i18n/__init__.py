"""What a person reads on screen, in English and Chinese.

The sentences in the code are English; ``zh_CN/LC_MESSAGES/chatstages.po`` holds the Chinese ones.
`make translations` brings the catalogue up to date after a sentence has changed.
"""

from __future__ import annotations

import gettext
import locale
import os
from pathlib import Path

LANGUAGES = ("zh_CN", "en")
CATALOGUES = Path(__file__).parent
_language = "en"  # what `use` has chosen, and
_catalogue: gettext.NullTranslations  # its sentences


def choose(wanted: str | None = None) -> str:
    """Return the language to speak: `wanted`, else CHATSTAGES_LANG, else the locale's, else English.

    The locale is read as gettext reads it (LANGUAGE, LC_ALL, LC_MESSAGES, LANG), and where none of
    these is set, as on Windows, asked of the system.
    """
    variables = ("CHATSTAGES_LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
    named = wanted or next(filter(None, map(os.environ.get, variables)), None)
    if named is None:
        named = locale.getlocale()[0] or ""
    return "zh_CN" if named.lower().startswith(("zh", "chinese")) else "en"


def use(wanted: str | None = None) -> str:
    """Speak `wanted` ("zh_CN" or "en"; see `choose`) from now on, in the whole process; return which."""
    global _language, _catalogue
    _language = choose(wanted)
    _catalogue = gettext.translation("chatstages", CATALOGUES, [_language], fallback=True)
    return _language


def language() -> str:
    """Return the language in use."""
    return _language


def _(sentence: str) -> str:
    """Return `sentence` in the language in use. Any thread may call it."""
    return _catalogue.gettext(sentence)


use()
