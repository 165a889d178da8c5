"""Finding the notebooks, and starting JupyterLab with them."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from chatstages import cli, jupyter
from tests.support import PATIENCE, ROOT, python, wait_until_listening


def test_a_checkout_works_in_its_own_folder() -> None:
    """What a learner changes there is seen by git."""
    assert jupyter.notebooks_to_work_in() == ROOT / "notebooks"


def test_an_installed_package_copies_and_keeps_the_learners_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The installed files stay as they are; so does what the learner has changed."""
    shipped = tmp_path / "installed"
    (shipped / "zh").mkdir(parents=True)
    (shipped / "00_start.ipynb").write_text("new")
    (shipped / "zh" / "00_start.ipynb").write_text("新")
    monkeypatch.setattr(jupyter, "CHECKOUT", tmp_path / "no" / "checkout")
    monkeypatch.setattr(jupyter, "INSTALLED", shipped)
    monkeypatch.chdir(tmp_path)
    folder = jupyter.notebooks_to_work_in()
    assert folder == tmp_path / "chatstages-notebooks"
    (folder / "00_start.ipynb").write_text("mine")
    assert jupyter.notebooks_to_work_in() == folder
    assert (folder / "00_start.ipynb").read_text() == "mine"
    assert (folder / "zh" / "00_start.ipynb").read_text() == "新"


@pytest.mark.parametrize(
    ("language", "stage", "found"),
    [
        ("en", None, "00_start.ipynb"),
        ("en", 4, "04_broadcast.ipynb"),
        ("zh_CN", None, "zh/00_start.ipynb"),
        ("zh_CN", 4, "zh/04_broadcast.ipynb"),
        ("zh_CN", 5, "05_pool.ipynb"),  # better in English than not at all
        ("en", 3, None),
    ],
)
def test_the_notebook_of_a_language_and_stage(
    language: str, stage: int | None, found: str | None, tmp_path: Path
) -> None:
    """The first one, without a stage."""
    (tmp_path / "zh").mkdir()
    for name in ("00_start", "04_broadcast", "05_pool", "zh/00_start", "zh/04_broadcast"):
        (tmp_path / f"{name}.ipynb").touch()
    assert jupyter.find_notebook(tmp_path, language, stage) == (found and tmp_path / found)


def test_a_missing_notebook_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With status 1."""
    monkeypatch.setattr(os, "environ", os.environ | {"CHATSTAGES_LANG": "en"})
    monkeypatch.setattr(jupyter, "CHECKOUT", tmp_path / "none")
    monkeypatch.setattr(jupyter, "INSTALLED", tmp_path / "none")
    assert cli.main(["lab"]) == 1
    assert capsys.readouterr().err == f"chatstages: There is no such notebook in {tmp_path / 'none'}.\n"


def test_jupyterlab_missing_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the command that installs it."""
    monkeypatch.setattr(os, "environ", os.environ | {"CHATSTAGES_LANG": "en"})
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", None)
    assert cli.main(["lab", "4"]) == 1
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
            re.search(r"(http://127\S+)/lab/tree/notebooks/04_broadcast.ipynb(\?\S+)", s) for s in lab.stderr
        )
        base, token = next(filter(None, urls)).groups()
        settings = f"{base}/lab/api/settings/@jupyterlab/apputils-extension:notification{token}"
        wait_until_listening(("127.0.0.1", int(base.rpartition(":")[2])))
        with urlopen(settings, timeout=PATIENCE) as answer:
            assert json.load(answer)["schema"]["properties"]["fetchNews"]["default"] == "false"
    finally:
        lab.send_signal(signal.SIGINT)
        _out, err = lab.communicate(timeout=PATIENCE)
    assert (lab.returncode, "Traceback" in err) == (0, False)
