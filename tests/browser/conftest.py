"""A Jupyter server and a real browser, for the tests of this folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
from nbformat import v4

from tests.support import PATIENCE, ROOT, wait_until_listening

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",  # in a container there is nobody else
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
KERNEL_IDLE = """
    window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'
"""
SECONDS = 3 * PATIENCE  # that anything in a browser may take


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test here more time than a unit test needs."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(5 * SECONDS))


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> None:
    """Take the place of the fixture of that name: the browser's driver lives longer than one test."""


class Jupyter(NamedTuple):
    """A Jupyter server with both front ends, and the folder that it shows."""

    url: str
    folder: Path


@pytest.fixture(scope="package")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """Run a Jupyter server that shows a copy of the notebooks."""
    home = tmp_path_factory.mktemp("jupyter")
    shutil.copytree(ROOT / "notebooks", home / "work", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    environment = os.environ | {f"JUPYTER_{kind}_DIR": str(home) for kind in ("CONFIG", "DATA", "RUNTIME")}
    environment["JUPYTER_CONFIG_PATH"] = str(ROOT / "chatstages" / "lab")
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ServerApp.port=0"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={home / 'work'}"]
    command += ["--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True"]
    log = (home / "log").open("w+")
    with subprocess.Popen(command, env=environment, stderr=log) as server:
        try:
            while not (found := re.search(r"http://127\.0\.0\.1:(\d+)/", (home / "log").read_text())):
                assert server.poll() is None, (home / "log").read_text()
            wait_until_listening(("127.0.0.1", int(found[1])))
            yield Jupyter(found[0].rstrip("/"), home / "work")
        finally:
            server.terminate()
    log.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Run a browser."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: make test does"
    )
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Page:
    """A notebook in a front end ("lab" or "notebook"), in the browser."""

    def __init__(self, browser: Any, jupyter: Jupyter, front_end: str, notebook: str) -> None:
        self.page = browser.new_page(viewport={"width": 1400, "height": 1000})
        self.page.set_default_timeout(SECONDS * 1_000)
        path = f"lab/workspaces/{os.urandom(4).hex()}/tree" if front_end == "lab" else "notebooks"
        self.page.goto(f"{jupyter.url}/{path}/{notebook}?reset")
        self.wait_idle()

    def wait_idle(self) -> None:
        """Wait until the kernel has nothing to do."""
        self.page.wait_for_function(KERNEL_IDLE)

    def run_all(self) -> None:
        """Run all cells, and wait until the last one has been run."""
        self.page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.wait_idle()

    def run(self, first: int, last: int) -> None:
        """Run the cells from `first` to `last`, both counted from 0."""
        for cell in range(first, last + 1):
            self.page.evaluate(
                """async cell => {
                    const app = window.jupyterapp;
                    app.shell.currentWidget.content.activeCellIndex = cell;
                    app.shell.currentWidget.content.deselectAll();
                    await app.commands.execute('notebook:run-cell');
                }""",
                cell,
            )
        self.wait_idle()

    def errors(self) -> list[str]:
        """Return the errors that cells have shown."""
        found = self.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.model.toJSON().cells
                .flatMap(cell => cell.outputs ?? []).filter(output => output.output_type === 'error')
                .map(output => output.ename + ': ' + output.evalue)"""
        )
        return list(found)

    def box(self, name: str) -> Any:
        """Return the text box of the client `name`."""
        return self.page.locator(f"input[title='{name}']").last

    def log(self, number: int) -> Any:
        """Return the log of the widget with that number, among all on the page."""
        return self.page.locator("[role=log]").nth(number)

    def picture(self, name: str) -> None:
        """Save what is seen, where CHATSTAGES_PICTURES names a folder."""
        if folder := os.environ.get("CHATSTAGES_PICTURES"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture(params=["lab", "notebook"])
def front_end(request: pytest.FixtureRequest) -> str:
    """Give each front end in turn."""
    return str(request.param)


@pytest.fixture
def open_notebook(browser: Any, jupyter: Jupyter, front_end: str) -> Iterator[Any]:
    """Give a function that opens a notebook: one that is there, or one made of some code cells."""
    pages: list[Page] = []

    def open_one(notebook: str, *cells: str) -> Page:
        if cells:
            kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
            made = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells], metadata=kernel)
            nbformat.write(made, jupyter.folder / notebook)
        pages.append(Page(browser, jupyter, front_end, notebook))
        return pages[-1]

    yield open_one
    for page in pages:
        page.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        page.page.close()
