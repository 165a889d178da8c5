"""Nicknames: which can be one, and which two a reader could take for the same.

On the wire a name stands in front of the full-width colon: ``name：text``.
"""

from __future__ import annotations

import re
import unicodedata

from chatstages.i18n import _
from chatstages.text import clean

COLON = "："  # between name and text: U+FF1A, the full-width colon of a Chinese keyboard
MAX_NAME = 32  # characters
SYSTEM = "*"  # begins a line of the server's own; no name may begin so
GUEST = "#"  # begins the name that the server gives to a member without one; likewise

# Characters of no width that are neither a space (Zs) nor a format character (Cf): fillers, selectors.
BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)

# Letters that look alike: the ones of Unicode TR39 that a keyboard of the region has at hand.
LOOKALIKES = str.maketrans("i1|0асԁеһіјкморԛѕтԝхуαινορυı∗", "llloacdehljkmopqstwxyalvopul*")
CAPITALS = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧАВЕКМНОРСТХУ", "ABEZHIKMNOPTYXABEKMHOPCTXY")


def check_name(name: str) -> str:
    """Return the nickname as it will be shown. Raises ValueError, which says why, where it cannot be one.

    A name is 1 to MAX_NAME visible characters on one line, without the full-width colon that ends
    it on the wire (nor any colon that looks like it), and does not begin like the server's own lines.
    """
    shown = normalized(name)
    if reason := objection(name, shown):
        raise ValueError(reason)
    return shown


def usable_name(name: str) -> str | None:
    """Return the nickname as it will be shown, or None where it cannot be one."""
    shown = normalized(name)
    return None if objection(name, shown) else shown


def normalized(name: str) -> str:
    """Return `name` in one spelling (NFC), with single spaces; of one far too long only the beginning."""
    begin = name[: 4 * MAX_NAME]  # before anything that takes time
    return " ".join(unicodedata.normalize("NFC", begin).split())


def objection(name: str, shown: str) -> str:
    """Return why `name`, which would be shown as `shown`, cannot be a nickname; "" where it can."""
    # There, every colon of a keyboard is the same.
    plain = unicodedata.normalize("NFKC", shown[: MAX_NAME + 1])
    if len(name) > 4 * MAX_NAME or len(shown) > MAX_NAME or len(plain) > MAX_NAME:
        return _("a nickname has at most {limit} characters").format(limit=MAX_NAME)
    key = name_key(shown)
    if not key:
        return _("a nickname needs a visible character")
    if shown != clean(shown):
        return _("a nickname has no control characters")
    if ":" in plain:
        return _("a nickname has no colon: it ends the name on the wire")
    if key.startswith((SYSTEM, GUEST)):
        return _("a nickname does not begin with {system} or {guest}").format(system=SYSTEM, guest=GUEST)
    return ""


def name_key(name: str) -> str:
    """Return what two names that a reader could take for one another have in common.

    NFKC makes a full-width letter an ordinary one, `casefold` a capital a small one; characters
    without a shape of their own are left out, and letters that look alike become one.
    """
    plain = unicodedata.normalize("NFKC", name).translate(CAPITALS).casefold()
    visible = (c for c in BLANK.sub("", plain) if unicodedata.category(c) not in ("Cf", "Zs"))
    # Without the invisible that stood between them, a letter and its mark are one again.
    return unicodedata.normalize("NFD", "".join(visible)).translate(LOOKALIKES)
