"""The tutorial on language models runs as written, with the trained model that it names."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

import landscape as ls
from landscape.cli import main
from landscape.tasks.stories import stories

pytest.importorskip("transformers", reason="needs the extra: landscape[hf]")

pytestmark = pytest.mark.filterwarnings("ignore:.*")  # the library's own

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "language-models.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the model and the stories, as the script writes them."""
    try:
        stories()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    from transformers.utils import logging

    logging.disable_progress_bar()
    place = ROOT / "scripts" / "stories_to_huggingface.py"
    spec = importlib.util.spec_from_file_location("stories_to_huggingface", place)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    out = tmp_path_factory.mktemp("laptop")
    (out / "figures").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stories", "--out", str(out / "data")])
        script.main()
    first, *_ = (out / "data" / "stories.jsonl").read_text(encoding="utf-8").splitlines()
    (out / "data" / "stories.jsonl").write_text(first, encoding="utf-8")  # enough for a test
    return out


def test_commands(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    for line in COMMANDS.splitlines():
        short = line.replace("--resolution 15", "--resolution 3").replace("--seeds 5", "--seeds 2")
        monkeypatch.setattr(
            sys, "argv", shlex.split(f"{short} --tokens 64" if "--text" in line else line)
        )
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code, capsys.readouterr().err
    found = ls.load_results("data/stories260K.results.h5")["surface/random"]
    assert found.loss[1, 1] == found.loss.min()


def test_blocks(folder, monkeypatch):
    monkeypatch.chdir(folder)
    names: dict = {}
    for block in PYTHON:
        exec(compile(block, "docs/language-models.md", "exec"), names)
    plt.close("all")
    np.testing.assert_allclose(names["again"].loss, names["between"].loss, rtol=1e-5)
    assert 1.0 < names["at"].mean[0, 0] < 1.8
    assert names["plane"].explained.sum() > 0.5
    assert Path("figures/series.png").stat().st_size > 5e3
