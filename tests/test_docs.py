"""What the Markdown files say: their links lead somewhere, their commands run, and both languages agree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path

import pytest

from chatstages import i18n
from chatstages.cli.main import parse

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(page for folder in ("docs", "examples", "notebooks") for page in ROOT.glob(f"{folder}/**/*.md")),
    ]
)
# Each page in English and its twin in Chinese.
PAIRS = [
    (ENGLISH, CHINESE),
    *((page, page.parent / "zh" / page.name) for page in sorted(ROOT.glob("notebooks/*.md"))),
    (ROOT / "examples/README.md", ROOT / "examples/zh/README.md"),
    *((page, page.parent / "zh" / page.name) for page in sorted(ROOT.glob("docs/*.md"))),
]
TEACHING = (ROOT / "notebooks/TEACHING.md", ROOT / "notebooks/zh/TEACHING.md")
MAX_LINES = 110  # of a README
MAX_WIDTH = 160  # characters in a line of it
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HAN = re.compile("[\u4e00-\u9fff]")
FOLDERS = ("chatstages", "docs", "examples", "notebooks", "tests")
FILES = [
    f"/{path.relative_to(ROOT).as_posix()}"
    for pattern in ("*", *(f"{folder}/**/*" for folder in FOLDERS))
    for path in ROOT.glob(pattern)
]
SUFFIXES = "py|md|toml|yml|txt|ipynb|png|c|po"
# What is a learner's own, or is made by a program.
ELSEWHERE = {"your_server.py", "build/benchmarks/report.md", "chatstages-notebooks/", ".venv/bin/"}
PLACEHOLDERS = {"N": "4", "HOST:PORT": "localhost:1", "主机:端口": "localhost:1", "SCRIPT": "your_server.py"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
each_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: str(pair[0].relative_to(ROOT)))


def prose(page: Path) -> str:
    """Return the text of `page` without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def inline_code(page: Path) -> list[str]:
    """Return what stands in backticks in the text of `page`."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def shell_lines(page: Path) -> list[str]:
    """Return the commands in the code blocks of `page`, without their comments."""
    blocks = [code for language, code in FENCE.findall(page.read_text(encoding="utf-8")) if language == "sh"]
    lines = [re.sub(r"\s+#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def commands(page: Path) -> Iterator[list[str]]:
    """Yield what `page` lets somebody give to `chatstages`, in code blocks and in backticks."""
    for line in [*shell_lines(page), *inline_code(page)]:
        for part in line.split(" | "):
            part = re.sub(r"^\S*[\\/]python |^python ", "python ", part.strip())
            words = part.removeprefix("python -m ").split()
            if (
                words[0].replace("\\", "/").removeprefix(".venv/bin/").removeprefix(".venv/Scripts/")
                == "chatstages"
            ):
                yield words[1:]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of `page`, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def minutes(page: Path) -> dict[str, int]:
    """Return the minutes of each notebook that the tables of `page` give."""
    found = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        notebook, time = re.search(r"`(\d\d\w?_\w+)`", line), re.search(r"\| (\d+) \|(?!.*\| \d+ \|)", line)
        if line.startswith("|") and notebook and time:
            found[notebook[1]] = int(time[1])
    return found


def minutes_of(notebook: Path) -> int:
    """Return the minutes of `notebook` in class: of all sections but those at home."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sections = [cell["metadata"].get("chatstages", {}) for cell in cells]
    return sum(section.get("minutes", 0) for section in sections if not section.get("at_home"))


@pytest.mark.parametrize("readme", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_a_readme_is_short(readme: Path) -> None:
    """In its number of lines, and in their width."""
    lines = readme.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MAX_LINES
    assert [line for line in lines if len(line) > MAX_WIDTH] == []


def test_the_chinese_readme_begins_in_chinese() -> None:
    """Whoever opens it sees at once that it is for them; the link to the other language comes after."""
    first = CHINESE.read_text(encoding="utf-8").splitlines()[0]
    assert HAN.match(first.removeprefix("# "))
    assert ENGLISH.name not in first


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of this repository, and to a heading in it; others are for people to follow."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _hash, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    """What looks like a file or folder of this repository is there; a pattern fits at least one."""
    names = {name for name in inline_code(page) if re.fullmatch(rf"[\w./*-]+(\.({SUFFIXES})|/)", name)}
    missing = [
        name
        for name in names - ELSEWHERE
        if not any(fnmatch(file, f"*/{name.rstrip('/')}") for file in FILES)
    ]
    assert missing == []


@each_page
def test_commands_are_understood(page: Path) -> None:
    """Each `chatstages …` that is shown is one that the command takes; a word alone names a part of it."""
    i18n.use("en")
    refused = []
    for words in commands(page):
        words = [PLACEHOLDERS.get(word, word) for word in words if word != "…"]
        if words == ["serve"] or words == ["chat"]:
            words.append("4")
        line = " ".join(words)
        if line.startswith("microscope "):  # it reads its arguments itself
            understood = re.fullmatch(r"microscope (-o \w+\.html )?(\w+\.py|-m \w+)", line) is not None
        else:
            understood = not words or is_understood(words)
        if not understood:
            refused.append(line)
    assert refused == []


def is_understood(words: list[str]) -> bool:
    """Return whether `chatstages` takes these words."""
    try:
        parse(words, "chatstages")
    except SystemExit as ended:
        return not ended.code  # --help ends so, too
    return True


@each_page
def test_modules_and_targets_that_are_run_exist(page: Path) -> None:
    """`python -m …` names a module, `make …` a target of the Makefile, a path a script."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    lines = [*shell_lines(page), *inline_code(page)]
    for line in lines:
        if match := re.match(r"(?:\S*[\\/])?python3? -m (chatstages[\w.]*)", line):
            assert find_spec(match[1]), line
        if match := re.match(r"make ([a-z-]+)", line):
            assert match[1] in targets, line
        if match := re.match(r"python3? (\w[\w/]*\.py)", line):
            assert match[1] in ELSEWHERE or (ROOT / match[1]).exists() or (page.parent / match[1]).exists(), (
                line
            )


def test_both_languages_have_the_same_pages() -> None:
    """A page that is written in one language alone is missing in the other."""
    for folder in (ROOT / "docs", ROOT / "examples", ROOT / "notebooks"):
        english = {page.name for page in folder.glob("*.md")}
        assert english == {page.name for page in (folder / "zh").glob("*.md")}, folder


@each_pair
def test_both_languages_show_the_same_commands(pair: tuple[Path, Path]) -> None:
    """In the same order; only a nickname, and the folder of the scripts, may be another."""

    def shown(page: Path) -> list[str]:
        lines = shell_lines(page)
        return [re.sub(r"--name \S+", "--name NICK", line) for line in lines]

    english, chinese = map(shown, pair)
    assert english == chinese


@each_pair
def test_both_languages_have_the_same_parts(pair: tuple[Path, Path]) -> None:
    """As many headings of each level, and as many rows in tables: nothing was left out of a translation."""

    def outline(page: Path) -> list[str]:
        return re.findall(r"^(#+ |\|)", prose(page), re.MULTILINE)

    english, chinese = map(outline, pair)
    assert english == chinese


def test_the_minutes_agree() -> None:
    """In the notebooks, the READMEs and the pages for teachers; and the sum that these give."""
    expected = {path.stem: minutes_of(path) for path in ROOT.glob("notebooks/*.ipynb")}
    for page in (ENGLISH, CHINESE, *TEACHING):
        assert minutes(page) == expected
    for page in TEACHING:
        assert f" {sum(expected.values())} " in page.read_text(encoding="utf-8")


def test_pages_speak_of_the_project_alone() -> None:
    """No path of somebody's machine."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    assert [text for text in texts if re.search(r"(?<!\w)/(tmp|home|root|work|Users)/", text)] == []
