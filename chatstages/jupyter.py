"""Finding the notebooks, and opening them in JupyterLab."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).parent
CHECKOUT = HERE.parent / "notebooks"
INSTALLED = HERE / "lab" / "notebooks"
CONFIG = HERE / "lab"  # its labconfig/ holds the settings that JupyterLab begins with
COPY = "chatstages-notebooks"  # the folder that an installed package's notebooks are copied to


def shipped_notebooks() -> Path:
    """Return the folder of the notebooks as they come: a checkout's own, or the installed package's."""
    return CHECKOUT if (CHECKOUT.parent / "pyproject.toml").exists() else INSTALLED


def notebooks_to_work_in() -> Path:
    """Return a folder of the notebooks that the learner may write to.

    An installed package copies its notebooks into a folder of the current one, and leaves alone what the
    learner has there already. Raises OSError where that cannot be written.
    """
    shipped, copy = shipped_notebooks(), Path.cwd() / COPY
    if shipped == CHECKOUT:
        return CHECKOUT
    for source in shipped.rglob("*.ipynb"):
        target = copy / source.relative_to(shipped)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return copy


def find_notebook(folder: Path, language: str, stage: int | None = None) -> Path | None:
    """Return the notebook of `stage`, or the first one; None where there is none."""
    places = [folder / "zh", folder] if language == "zh_CN" else [folder]
    pattern = "[0-9][0-9]_*.ipynb" if stage is None else f"{stage:02}_*.ipynb"
    found = [notebook for place in places for notebook in sorted(place.glob(pattern))]
    return found[0] if found else None


def open_lab(notebook: Path, folder: Path, options: list[str]) -> None:
    """Run JupyterLab with `notebook` open until it is shut down. Raises ImportError where it is missing."""
    from jupyterlab.labapp import LabApp

    # A checkout shows the modules beside the notebooks.
    root = folder.parent if folder == CHECKOUT else folder
    # Not as a file to open: then the address that is printed would not lead to it.
    page = f"/lab/tree/{quote(notebook.relative_to(root).as_posix())}"
    arguments = [f"--ServerApp.root_dir={root}", f"--LabApp.default_url={page}"]
    # A classroom needs no news and no look-up of newer versions, and may have no way out to ask for them.
    paths = [str(CONFIG), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")  # in a container there is nobody else
    LabApp.launch_instance([*arguments, *options])
