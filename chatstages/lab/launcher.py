"""Finding the notebooks, and opening them in JupyterLab."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).parent
CHECKOUT = HERE.parent.parent / "notebooks"
INSTALLED = HERE / "notebooks"
CONFIG = HERE  # its labconfig/ holds the settings that JupyterLab begins with
COPIES = "chatstages-notebooks"  # the folder in which learners work


def shipped_notebooks() -> Path:
    """Return the folder of the notebooks as they come: a checkout's own, or the installed package's."""
    return CHECKOUT if (CHECKOUT.parent / "pyproject.toml").exists() else INSTALLED


def notebooks_to_work_in() -> Path:
    """Return a folder of copies of the notebooks, and the pages beside them, for the learner to write to.

    What the cells have shown is left out of a copy: whoever is to predict must not see the answer. A copy
    that the learner has changed is left alone; others follow the package. Raises OSError where the
    folder cannot be written.
    """
    shipped = shipped_notebooks()
    copies = (CHECKOUT.parent if shipped == CHECKOUT else Path.cwd()) / COPIES
    copies.mkdir(exist_ok=True)
    record = copies / ".copied.json"  # the digest of each copy as it was made
    digests = json.loads(record.read_text()) if record.exists() else {}
    for source in [*shipped.rglob("[0-9][0-9]*_*.ipynb"), *shipped.rglob("*.md")]:
        name, text = source.relative_to(shipped), source.read_text(encoding="utf-8")
        copy, text = copies / name, without_output(text) if source.suffix == ".ipynb" else text
        if copy.exists() and digest(copy.read_text(encoding="utf-8")) != digests.get(str(name)):
            continue
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(text, encoding="utf-8")
        digests[str(name)] = digest(text)
    record.write_text(json.dumps(digests, indent=1))
    return copies


def without_output(notebook: str) -> str:
    """Return the text of `notebook` as if no cell had been run."""
    content = json.loads(notebook)
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def digest(text: str) -> str:
    """Return a short stand-in for `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def find_notebook(folder: Path, language: str, stage: int | None = None) -> Path | None:
    """Return the notebook of `stage`, or the first one; None where there is none."""
    places = [folder / "zh", folder] if language == "zh_CN" else [folder]
    pattern = "[0-9][0-9]*_*.ipynb" if stage is None else f"{stage:02}*_*.ipynb"
    found = [notebook for place in places for notebook in sorted(place.glob(pattern))]
    return found[0] if found else None


def open_lab(notebook: Path, folder: Path, options: list[str]) -> None:
    """Run JupyterLab with `notebook` open until it is shut down. Raises ImportError where it is missing."""
    from jupyterlab.labapp import LabApp

    # A checkout shows the modules beside the notebooks.
    root = folder.parent if folder.parent == CHECKOUT.parent else folder
    # Not as a file to open: then the address that is printed would not lead to it.
    page = f"/lab/tree/{quote(notebook.relative_to(root).as_posix())}"
    arguments = [f"--ServerApp.root_dir={root}", f"--LabApp.default_url={page}"]
    # A classroom needs no news and no look-up of newer versions, and may have no way out to ask for them.
    paths = [str(CONFIG), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")  # in a container there is nobody else
    LabApp.launch_instance([*arguments, *options])
