"""The gallery: every figure is judged beside its original, and a faulty one is refused."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("fig_*.py"))
DRAWN = [path for path in SCRIPTS if (ROOT / "figures" / f"{path.stem}.png").exists()]


@pytest.fixture
def gallery(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import gallery

    yield gallery
    sys.modules.pop("gallery", None)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_figure_says_what_is_as_in_its_original_and_what_is_not(script):
    told = ast.get_docstring(ast.parse(script.read_text())) or ""
    assert re.search(r"^(Against the originals?|No original): \w", told, re.MULTILINE)
    assert (ROOT / "figures" / f"{script.stem}.txt").read_text().strip()


@pytest.mark.parametrize("script", DRAWN, ids=lambda path: path.stem)
def test_figures_have_the_width_of_the_page_their_fonts_and_their_latex(script):
    drawn = ROOT / "figures" / script.stem
    with Image.open(drawn.with_suffix(".png")) as picture:
        assert picture.width / picture.info["dpi"][0] <= 5.51
    written = drawn.with_suffix(".pdf").read_bytes()
    assert b"/FontFile2" in written
    assert b"/Type3" not in written
    latex = drawn.with_suffix(".tex").read_text()
    assert f"\\includegraphics{{{script.stem}.pdf}}" in latex
    assert latex.isascii()  # any engine sets it


@pytest.mark.parametrize("written", sorted((ROOT / "figures").glob("*.tex")), ids=lambda p: p.stem)
def test_no_letter_of_a_caption_is_a_command_of_latex(written):
    """Every snippet was set once by pdfTeX; these letters would stop it, or set another text."""
    (said,) = re.findall(r"\\caption\{(.*)\}\n", written.read_text())
    plain = re.sub(r"\\[%&#$_{}]|\\textasciitilde\{\}|\\textasciicircum\{\}", "", said)
    assert plain.count("$") % 2 == 0
    plain = re.sub(r"\$[^$]*\$|\\(ldots|textbackslash)\{\}", "", plain)
    assert not re.findall(r"[%&#_~^\\{}<>|]", plain)


def test_captions_give_the_share_of_a_random_walk_beside_every_share_of_variation():
    told = [text for text in (ROOT / "figures").glob("*.txt") if "variation" in text.read_text()]
    assert len(told) > 1
    for text in told:
        assert "random walk" in text.read_text(), text.stem


def test_a_fault_is_refused_before_anything_is_written(gallery, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["fig_some.py", "--data", str(tmp_path)])
    script = gallery.Script("fig_some", "Some.")
    good, tiny, wide, bare, crowded = (Figure(figsize=(5.5, 2)) for _ in range(5))
    wide.set_size_inches(5.6, 2)
    crowded.text(0.5, 0.5, "one")
    crowded.text(0.51, 0.5, "other")
    good.add_subplot().set_xlabel("PC 1 (9 % of variation; random walk: 6 %)", fontsize=6)
    tiny.add_subplot().set_xlabel("x", fontsize=5.9)
    wide.add_subplot()
    bare.add_subplot().set_xlabel("PC 1 (9 % of variation)")
    refused = (tiny, "5.9 pt"), (wide, "5.6 in"), (bare, "random walk"), (crowded, "touch")
    for figure, said in refused:
        with pytest.raises(ValueError, match=said):
            script.save(figure, "A caption.")
    assert not list(tmp_path.rglob("fig_some*"))
    script.figures.mkdir(parents=True)
    script.save(good, "A caption.")
    written = sorted(path.suffix for path in script.figures.glob("fig_some*"))
    assert written == [".pdf", ".png", ".tex", ".txt"]


def test_a_recording_that_was_cut_short_is_no_run(gallery, monkeypatch, tmp_path):
    import landscape as ls

    monkeypatch.setattr(sys, "argv", ["fig_some.py", "--smoke", "--data", str(tmp_path)])
    script = gallery.Script("fig_some", "Some.")
    task = "function/rosenbrock", ls.load_task("function/rosenbrock")
    asked = {"steps": 6, "lr": 0.001}
    whole = script.run_on(*task, "gd", **asked)
    layout, path, start = whole.layout, whole.path, whole.initial
    writer = ls.TrajectoryWriter(path, layout, run={}, overwrite=True)
    writer.append_state(0, start)
    writer.abort()
    assert not gallery.is_recorded(path)
    again = script.run_on(*task, "gd", **asked)
    assert (again.complete, len(again)) == (True, 7)


def test_the_whole_set_is_made_anew_and_goes_on_where_it_stopped(gallery, monkeypatch, tmp_path):
    made, folder, figures = tmp_path / "made", tmp_path / "new", tmp_path / "figures"
    figures.mkdir()
    (tmp_path / "scripts").mkdir()

    def write(name: str, head: str = "", last: str = "") -> None:
        figure = f"Path(sys.argv[2], 'figures', '{name}.txt')"
        lines = (
            f"{head}\nimport sys\nfrom pathlib import Path",
            f"open({str(made)!r}, 'a').write('{name[4:]} ')\n{last}",
            f"{figure}.parent.mkdir(exist_ok=True)\n{figure}.write_text('new')",
        )
        (tmp_path / "scripts" / f"{name}.py").write_text("\n".join(lines))

    for name in ("fig_a", "fig_b", "fig_c", gallery.HERO):
        write(name, "'''\nfrom fig_c'''" if name == "fig_a" else "")
        (figures / f"{name}.txt").write_text("old")
    write("fig_b", last="raise SystemExit(1)")
    monkeypatch.setattr(gallery, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="Failed: fig_b"):
        gallery.make_again(folder)
    assert made.read_text().split() == ["b", "c", "landscape_hero", "a"]  # a builds on c
    assert {file.read_text() for file in figures.iterdir()} == {"old"}
    write("fig_b")
    gallery.make_again(folder)
    assert made.read_text().split()[4:] == ["b"]  # nothing is made twice
    assert (figures / "fig_a.txt").read_text() == (figures / "fig_b.txt").read_text() == "new"
    assert (figures / f"{gallery.HERO}.txt").read_text() == "old"  # measured in full, elsewhere
    assert "4 scripts" in (figures / "again.txt").read_text()
    with pytest.raises(SystemExit, match="not empty"):
        gallery.make_again(figures)
