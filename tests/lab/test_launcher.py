"""Finding the notebooks, and starting JupyterLab with them."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from chatstages.cli import main
from chatstages.lab import launcher as jupyter
from tests.support import PATIENCE, python, wait_until_listening

NOTEBOOK = """{
 "cells": [
  {"cell_type": "markdown", "metadata": {}, "source": ["预测"]},
  {"cell_type": "code", "execution_count": 7, "metadata": {}, "outputs": [{"text": "42"}],
   "source": ["VERSION"]}
 ],
 "metadata": {}
}"""


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an installed package's folder with two notebooks, in an empty current folder."""
    folder = tmp_path / "installed"
    for path in (folder / "00_start.ipynb", folder / "zh" / "00_start.ipynb"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(NOTEBOOK, encoding="utf-8")
    monkeypatch.setattr(jupyter, "CHECKOUT", tmp_path / "no" / "checkout")
    monkeypatch.setattr(jupyter, "INSTALLED", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_learner_works_in_copies_without_output(shipped: Path) -> None:
    """Whoever is to predict must not see the answer."""
    folder = jupyter.notebooks_to_work_in()
    assert folder == shipped.parent / "chatstages-notebooks"
    copy = (folder / "zh" / "00_start.ipynb").read_text(encoding="utf-8")
    assert "42" not in copy
    assert "预测" in copy
    assert json.loads(copy)["cells"][1]["execution_count"] is None


def test_what_the_learner_has_changed_is_kept(shipped: Path) -> None:
    """The other copies follow the package."""
    mine, other = (jupyter.notebooks_to_work_in() / name for name in ("00_start.ipynb", "zh/00_start.ipynb"))
    mine.write_text("mine")
    for path in shipped.rglob("*.ipynb"):
        path.write_text(NOTEBOOK.replace("VERSION", "NEWER"), encoding="utf-8")
    jupyter.notebooks_to_work_in()
    assert mine.read_text() == "mine"
    assert "NEWER" in other.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("language", "stage", "found"),
    [
        ("en", None, "00_start.ipynb"),
        ("en", 4, "04_broadcast.ipynb"),
        ("zh_CN", None, "zh/00_start.ipynb"),
        ("zh_CN", 4, "zh/04_broadcast.ipynb"),
        ("zh_CN", 5, "05a_pool.ipynb"),  # better in English than not at all
        ("en", 3, None),
    ],
)
def test_the_notebook_of_a_language_and_stage(
    language: str, stage: int | None, found: str | None, tmp_path: Path
) -> None:
    """The first one, without a stage."""
    (tmp_path / "zh").mkdir()
    for name in ("00_start", "04_broadcast", "05a_pool", "05b_log", "zh/00_start", "zh/04_broadcast"):
        (tmp_path / f"{name}.ipynb").touch()
    assert jupyter.find_notebook(tmp_path, language, stage) == (found and tmp_path / found)


def test_a_missing_notebook_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With status 1."""
    monkeypatch.setattr(os, "environ", os.environ | {"CHATSTAGES_LANG": "en"})
    monkeypatch.setattr(jupyter, "CHECKOUT", tmp_path / "none")
    monkeypatch.setattr(jupyter, "INSTALLED", tmp_path / "none either")
    monkeypatch.chdir(tmp_path)
    assert main(["lab"]) == 1
    assert (
        capsys.readouterr().err
        == f"chatstages: There is no such notebook in {tmp_path / 'chatstages-notebooks'}.\n"
    )


def test_jupyterlab_missing_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the command that installs it."""
    monkeypatch.setattr(os, "environ", os.environ | {"CHATSTAGES_LANG": "en"})
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", None)
    assert main(["lab", "4"]) == 1
    expected = "chatstages: JupyterLab is not installed: pip install 'chatstages[lab]'\n"
    assert capsys.readouterr().err == expected


@pytest.mark.skipif(sys.platform == "win32", reason="there a program cannot be sent Ctrl-C alone")
def test_lab_starts_jupyterlab_and_prints_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a screen, too; nobody is asked whether news should be fetched."""
    for kind in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{kind}_DIR", str(tmp_path / kind))
    lab = python("-m", "chatstages", "lab", "4", "--no-browser", "--ServerApp.port=0")
    assert lab.stderr
    assert lab.stdout
    try:
        assert "04_broadcast.ipynb in JupyterLab" in lab.stdout.readline()
        urls = (
            re.search(r"(http://127\S+)/lab/tree/chatstages-notebooks/04_broadcast.ipynb(\?\S+)", s)
            for s in lab.stderr
        )
        base, token = next(filter(None, urls)).groups()
        settings = f"{base}/lab/api/settings/@jupyterlab/apputils-extension:notification{token}"
        wait_until_listening(("127.0.0.1", int(base.rpartition(":")[2])))
        with urlopen(settings, timeout=PATIENCE) as answer:
            assert json.load(answer)["schema"]["properties"]["fetchNews"]["default"] == "false"
    finally:
        lab.terminate()
        _out, err = lab.communicate(timeout=PATIENCE)
    assert (lab.returncode, "Traceback" in err) == (0, False)
