"""The README and the pages of the site as notebooks: run twice, and short in what they print.

The pages take minutes; they are executed where LANDSCAPE_DOCS is set.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import torch

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parents[2]
WHOLE = bool(os.environ.get("LANDSCAPE_DOCS"))
PAGES = sorted([*(ROOT / "docs/guides").glob("*.md"), *(ROOT / "docs/tutorials").glob("*.md")])
PAGES = [page for page in PAGES if "{code-cell}" in page.read_text()]
MOST = 2000  # characters of what is neither a picture nor the page


def executed(cells, folder):
    """The cells after two runs in one kernel; whatever they raise, this raises."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells * 2]
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(notebook, timeout=240, resources=resources)
    return client.execute().cells


def printed(cell):
    """The texts that a cell shows, without pictures and without the page."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.text
        for kind, data in output.get("data", {}).items():
            text = data if isinstance(data, str) else json.dumps(data)  # of a widget
            if not kind.startswith("image/") and "<iframe srcdoc=" not in text:
                yield re.sub(r"data:image/png;base64,[\w+/=]+", "", text)


def check(cells):
    for cell in cells:
        for text in printed(cell):
            assert len(text) <= MOST, f"{len(text)} characters: {text[:200]} … of {cell.source}"


def test_the_readme_in_a_notebook(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[:-1]
    if not WHOLE:  # loading transformers takes long; test_readme runs those blocks
        blocks = [block for block in blocks if "transformers" not in block and "lm," not in block]
    net = torch.nn.Sequential(torch.nn.Linear(10, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    for name in ("model", "epoch_1", "epoch_2", "epoch_3"):
        torch.save(
            {k: torch.randn_like(v) for k, v in net.state_dict().items()}, tmp_path / f"{name}.pt"
        )
    shown = ["run", "plane", "surface", "profile", "objective", "ls.plot(surface)", "recorder"]
    shown.append("ls.explore(surface, 'figures/shown.html')")
    cells = executed([*blocks, *shown], tmp_path)
    check(cells)
    outputs = [output for output in cells[-1].outputs if "data" in output]
    assert "<iframe srcdoc=" in outputs[0].data["text/html"]


@pytest.mark.skipif(not WHOLE, reason="minutes; set LANDSCAPE_DOCS")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_of_the_site_in_a_notebook(page, tmp_path):
    cells = re.findall(r"```\{code-cell\}\n(?::tags:.*\n)?(.*?)```", page.read_text(), re.DOTALL)
    check(executed(cells, tmp_path))
