"""A figure for a paper: its file, unscaled, with its caption and a label."""

from __future__ import annotations

from pathlib import PurePath

_ESCAPED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "#": r"\#",
    "$": r"\$", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "θ": r"$\theta$", "λ": r"$\lambda$", "α": r"$\alpha$", "β": r"$\beta$", "‖": r"$\|$",
    "±": r"$\pm$", "×": r"$\times$", "−": r"$-$", "→": r"$\to$", "°": r"$^\circ$", "φ": r"$\phi$",
    "σ": r"$\sigma$", "Σ": r"$\Sigma$", "Δ": r"$\Delta$", "≤": r"$\le$", "≥": r"$\ge$",
    "²": r"$^2$", "₀": r"$_0$", "₁": r"$_1$", "₂": r"$_2$", "₃": r"$_3$", "<": "$<$", ">": "$>$",
    "|": "$|$", "·": r"$\cdot$", "…": r"\ldots{}", "–": "--", "∞": r"$\infty$", "½": r"$1/2$",
}  # fmt: skip


def latex(file: str, caption: str) -> str:
    """A ``figure`` environment that includes a file as it is and says what it shows."""
    said = "".join(_ESCAPED.get(letter, letter) for letter in caption)
    return (
        "\\begin{figure}\n  \\centering\n"
        f"  \\includegraphics{{{file}}}\n"
        f"  \\caption{{{said}}}\n"
        f"  \\label{{fig:{PurePath(file).stem}}}\n"
        "\\end{figure}\n"
    )
