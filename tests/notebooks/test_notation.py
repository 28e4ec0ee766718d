"""One notation: the table of notebooks/README.md, and no sign that rivals it."""

import re

import pytest

from tests.notebooks.reading import EVERY_NUMBERED, code_cells, read

RIVALS = {
    "the normal distribution is calligraphic": r"(?<![A-Za-z])(?<!\\mathcal )N\s*(?:\\[!,])?\(",
    "the divergence is written KL(q || p)": r"D_\{?(?:\\\w+)?\{?KL",
    "KL is upright": r"(?<![A-Za-z{])KL(?![A-Za-z}])",
    "covariances are bold": r"(?<!\\boldsymbol)(?<!\\boldsymbol\{)\\Sigma",
}
X = r"(?<!\\mathbf )(?<![A-Za-z\\{])x(?![A-Za-z_{^'])"  # an x that is not bold: a number
Z = r"\\mathbf z"
UNBOLD = rf"\([^()]*{X}[^()]*{Z}|\([^()]*{Z}[^()]*{X}"  # beside a bold z, it stands for an image


def formulas(path):
    """All mathematics of a notebook: of its prose, and of the strings in its code."""
    prose = "\n\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", prose, flags=re.DOTALL)
    code = "\n\n".join(re.sub(r"\\\\", r"\\", cell.source) for cell in code_cells(path))
    shown = re.findall(r"\$\$(.+?)\$\$|\$([^$]+?)\$", prose, flags=re.DOTALL)
    drawn = re.findall(r"\$([^$\n]+)\$", code)
    return [display or inline for display, inline in shown] + drawn


@EVERY_NUMBERED
@pytest.mark.parametrize("rule", RIVALS)
def test_no_rival_of_the_table_is_used(path, rule):
    found = [formula for formula in formulas(path) if re.search(RIVALS[rule], formula)]
    assert not found, rule


@EVERY_NUMBERED
def test_images_are_bold(path):
    assert not [formula for formula in formulas(path) if re.search(UNBOLD, formula)]


@pytest.mark.parametrize("formula", [r"p(x \mid \mathbf z)", r"q(\mathbf z|x)"])
def test_an_image_that_is_not_bold_is_found(formula):
    assert re.search(UNBOLD, formula)


@pytest.mark.parametrize(
    "rule, formula",
    [
        ("the normal distribution is calligraphic", r"z \sim N(0, 1)"),
        ("the divergence is written KL(q || p)", r"D_{KL}(q\|p)"),
        ("the divergence is written KL(q || p)", r"D_\mathrm{KL}(q\|p)"),
        ("KL is upright", r"KL(q\|p)"),
        ("covariances are bold", r"\log\det\Sigma"),
    ],
)
def test_a_rival_is_found(rule, formula):
    assert re.search(RIVALS[rule], formula)


@pytest.mark.parametrize(
    "formula",
    [r"\mathcal N(0, 1)", r"\mathrm{KL}(q \,\Vert\, p)", r"\frac{N_c}{N}", r"\boldsymbol\Sigma_c"],
)
def test_the_table_s_own_signs_are_no_rivals(formula):
    assert not any(re.search(rival, formula) for rival in RIVALS.values())
