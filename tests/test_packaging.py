"""What a user's machine gets: the two ways to install agree, and the package holds what it needs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rattler import MatchSpec

import chatstages
from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
ENVIRONMENT_TEXT = (ROOT / "environment.yml").read_text(encoding="utf-8")
ENVIRONMENT = yaml.safe_load(ENVIRONMENT_TEXT)["dependencies"]
CONDA_LINES = [line for line in ENVIRONMENT if isinstance(line, str)]


def floors(*extras: str) -> dict[str, str]:
    """Return the packages of `extras` and the versions that they ask for."""
    requirements = [Requirement(line) for extra in extras for line in EXTRAS[extra]]
    return {r.name: str(r.specifier) for r in requirements if r.name != "chatstages"}


def test_environment_yml_and_pyproject_ask_for_the_same() -> None:
    """Whoever comes through conda gets what `make lab` and `make test` get; linters are for developers."""
    specs = [MatchSpec(line) for line in CONDA_LINES]
    conda = {str(spec.name.normalized): str(spec.version or "") for spec in specs if spec.name}
    del conda["python"]  # it has a test of its own, below
    assert conda.pop("pip") == ""
    assert conda == floors("terminal", "bench", "lab", "test")


def test_binder_reads_the_python_version_and_installs_the_package() -> None:
    """Binder takes Python from a line of this form only, and the package from pip."""
    assert "python=3.12" in CONDA_LINES
    assert "3.12" in SpecifierSet(PROJECT["requires-python"])
    assert ENVIRONMENT[-1] == {"pip": ["-e ."]}


def test_every_line_of_environment_yml_says_what_it_is_for() -> None:
    """A comment behind each package."""
    lines = re.findall(r"^ +- (?!pip:)(.+)$", ENVIRONMENT_TEXT.partition("dependencies:")[2], re.MULTILINE)
    assert len(lines) == len(CONDA_LINES) + 1  # and -e .
    assert [line for line in lines if " # " not in line] == []


def test_constraints_fit_and_record_no_address() -> None:
    """The pinned versions meet what is asked for; a line is name==version and nothing else."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines}
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.+!-]+", line)] == []
    for name, floor in floors(*EXTRAS).items():
        assert pinned[canonicalize_name(name)] in SpecifierSet(floor), name


def test_the_core_depends_on_nothing() -> None:
    """Not on paper, and not in fact: with no other package in sight, everything of the core imports."""
    assert PROJECT["dependencies"] == []
    modules = [f"chatstages.{path.stem}" for path in (ROOT / "chatstages").glob("[a-z]*.py")]
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nimport importlib\n"
    code += f"for name in {modules}: importlib.import_module(name)\n"
    subprocess.run([sys.executable, "-I", "-S", "-W", "error", "-c", code], check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel that a user installs."""
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_holds_notebooks_and_languages(wheel: zipfile.ZipFile) -> None:
    """`chatstages lab` of an installed package opens them."""
    names = set(wheel.namelist())
    notebooks = {path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").rglob("*.ipynb")}
    assert {f"chatstages/lab/{name}" for name in notebooks if "checkpoints" not in name} <= names
    assert not [
        name for name in names if name.startswith("chatstages/lab/notebooks/") and name.endswith(".py")
    ]
    catalogues = {
        f"chatstages/i18n/zh_CN/LC_MESSAGES/{name}.mo" for name in ("chatstages", "sources", "argparse")
    }
    assert catalogues <= names
    assert "chatstages/py.typed" in names
    assert not [name for name in names if name.startswith("tests")]


def test_the_wheel_holds_what_bench_compiles_and_starts(wheel: zipfile.ZipFile) -> None:
    """`chatstages bench` of an installed package finds it."""
    names = set(wheel.namelist())
    for name in ("load.c", "epoll_server.c", "websockets_server.py"):
        assert f"chatstages/bench/sources/{name}" in names


def test_versions_agree(wheel: zipfile.ZipFile) -> None:
    """One place says it, and the changelog knows it."""
    assert f"-{chatstages.__version__}-" in Path(str(wheel.filename)).name
    assert f"## {chatstages.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
