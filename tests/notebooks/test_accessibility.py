"""What readers need who see colours differently, or hear the page: contrast, colour-blind
simulation, alt text, tables, prose.

Contrast is that of the Web Content Accessibility Guidelines 2.2, section 1.4.3. Colour blindness is
simulated with the matrices of Machado, Oliveira and Fernandes (2009), "A Physiologically-based
Model for Simulation of Color Vision Deficiency", at severity 1 (for the rare tritanopia they are an
approximation), and a difference of colours is CIEDE2000; both from the package colour-science.
"""

import itertools
import re

from lecture_utils import plotting

import colour
import numpy as np
import pytest
import torch
from matplotlib import colors, markers
from matplotlib import pyplot as plt

from tests.helpers import ROOT
from tests.notebooks.reading import EVERY, EVERY_NUMBERED, NOTEBOOKS, code_cells, prose, read

pytestmark = pytest.mark.filterwarnings("ignore:.*simulation of tritanomaly")
VISIONS = ("normal", "Protanomaly", "Deuteranomaly", "Tritanomaly")
# CIEDE2000; 1 to 2 is the least difference seen side by side, and at 10 two colours are told apart
# at a glance
APART = 10
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "notebooks").glob("*.md"),
    *(ROOT / "notebooks" / "tutorial_7").glob("*.md"),
    ROOT / "data" / "README.md",
]


def linear(color):
    """The colour in linear RGB, each channel in [0, 1]."""
    return colour.models.eotf_sRGB(np.array(colors.to_rgb(color)))


def contrast_with_white(color):
    """WCAG's contrast ratio (L1 + 0.05) / (L2 + 0.05) of relative luminances, from 1 to 21."""
    return 1.05 / (linear(color) @ [0.2126, 0.7152, 0.0722] + 0.05)


def difference(a, b, vision):
    """CIEDE2000 between two colours as seen with this kind of colour vision."""
    seen = np.array([linear(a), linear(b)])
    if vision != "normal":
        seen = np.clip(seen @ colour.matrix_cvd_Machado2009(vision, 1.0).T, 0, 1)
    return float(
        colour.delta_E(*colour.XYZ_to_Lab(colour.RGB_to_XYZ(seen, "sRGB")), method="CIE 2000")
    )


# --- The palette ---


def test_the_contrast_formula_gives_the_published_values():
    assert contrast_with_white("black") == pytest.approx(21) and contrast_with_white("white") == 1
    assert (
        contrast_with_white("#777777") == pytest.approx(4.48, abs=0.005)
        and contrast_with_white("#767676") > 4.5
    )  # WebAIM's example


def test_the_simulation_makes_red_and_green_alike_for_those_who_confuse_them_and_for_nobody_else():
    red, green = "#B05A00", "#6F7B00"
    assert (
        difference(red, green, "Deuteranomaly")
        < APART / 2
        < APART
        < difference(red, green, "normal")
    )
    assert difference(red, green, "Tritanomaly") > APART


@pytest.mark.parametrize("color", [*plotting.COLORS.values(), *plotting.DIGIT_COLORS])
def test_labels_can_be_written_in_every_colour_of_the_palette(color):
    assert contrast_with_white(color) >= 4.5


@pytest.mark.parametrize("vision", VISIONS)
def test_all_pairs_of_the_palette_are_told_apart_with_every_kind_of_colour_vision(vision):
    close = {
        (a, b): distance
        for (a, first), (b, second) in itertools.combinations(plotting.COLORS.items(), 2)
        if (distance := difference(first, second, vision)) < APART
    }
    assert not close


def test_colour_is_doubled_by_line_style_and_by_marker():
    cycle = plotting.STYLE["axes.prop_cycle"].by_key()
    assert cycle["color"] == list(plotting.COLORS.values()) and len(set(cycle["linestyle"])) == len(
        cycle["color"]
    )
    styles = plotting.MODEL_STYLE.values()
    assert (
        len({color for color, _ in styles}) == len({marker for _, marker in styles}) == len(styles)
    )


def test_a_scatter_of_classes_draws_every_code_as_its_digit():
    labels = torch.arange(10).repeat(6)
    figure = plotting.latent_scatter(
        torch.randn(60, 2, generator=torch.Generator().manual_seed(0)), labels
    )
    (axis,) = figure.axes
    shapes = [markers.MarkerStyle(f"${digit}$") for digit in range(10)]
    drawn = [collection.get_paths()[0].vertices for collection in axis.collections]
    assert all(
        np.allclose(path, shape.get_path().transformed(shape.get_transform()).vertices)
        for path, shape in zip(drawn, shapes, strict=True)
    )
    assert {text.get_text() for text in axis.texts} == set("0123456789")
    plt.close(figure)


# --- Figures and their words ---


def alts(path):
    return [
        output.metadata["image/png"]["alt"]
        for cell in code_cells(path)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]


@EVERY
def test_alt_text_is_sentences_that_say_what_is_seen(path):
    found = alts(path)
    assert found and len(set(found)) == len(found), "two figures with the same alt text"
    for alt in found:
        assert len(alt.split()) >= 10 and alt.endswith("."), alt
        assert not re.match(
            r"(an? |the )?(plot|figure|image|picture|chart|screenshot)\b", alt, re.IGNORECASE
        ), alt


@EVERY_NUMBERED
def test_a_sentence_stands_under_every_figure(path):
    """JupyterLab drops alt text: prose must follow before the next figure or heading (a cell that
    checks or prints may come between).
    """
    cells = read(path).cells
    is_figure = [
        cell.cell_type == "code"
        and any("image/png" in output.get("data", {}) for output in cell.outputs)
        for cell in cells
    ]
    for i in range(len(cells)):
        if is_figure[i]:
            following = next(
                (
                    j
                    for j in range(i + 1, len(cells))
                    if is_figure[j] or cells[j].cell_type == "markdown"
                ),
                None,
            )
            assert (
                following is not None
                and not is_figure[following]
                and not cells[following].source.startswith("#")
            ), cells[i].source


@EVERY_NUMBERED
def test_an_explorer_stands_behind_a_static_figure_and_a_text_that_is_true_on_the_web_too(path):
    """There it runs from tables (book/playground_pages.py), so no text says it needs a kernel."""
    cells = read(path).cells
    for i, cell in enumerate(cells):
        if cell.cell_type == "code" and re.search(r"\w_explorer\(", cell.source):
            before = [other for other in cells[:i] if other.cell_type == "code"][-3:]
            assert any(
                "image/png" in output.get("data", {})
                for other in before
                for output in other.outputs
            ), cell.source
            text = cells[i - 1]
            assert text.cell_type == "markdown" and "kernel" not in text.source, cell.source


# --- Tables and prose ---


def tables(text):
    """The Markdown tables in a text, each as its lines."""
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [
        block.strip().split("\n")
        for block in re.findall(r"(?:^\|.*\|[ \t]*(?:\n|\Z))+", without_code, re.MULTILINE)
    ]


def has_header_row(table):
    """Whether the first row names every column and the second is the rule below it."""
    cells = [re.split(r"(?<!\\)\|", row.strip())[1:-1] for row in table]
    return (
        len(table) > 2
        and all(cell.strip() for cell in cells[0])
        and all(re.fullmatch(r" *:?-+:? *", cell) for cell in cells[1])
    )


def test_the_rule_on_tables_can_fail():
    assert has_header_row(["| a | b |", "| --- | --- |", "| 1 | 2 |"])
    assert not has_header_row(["| | b |", "| --- | --- |", "| 1 | 2 |"]) and not has_header_row(
        ["| a | b |", "| 1 | 2 |", "| 3 | 4 |"]
    )
    assert tables("text\n| a |\n| --- |\n| 1 |\n\n```\n| not | one |\n```\n") == [
        ["| a |", "| --- |", "| 1 |"]
    ]


@EVERY
def test_tables_have_header_rows_that_name_every_column(path):
    texts = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    texts += [
        output.data["text/markdown"]
        for cell in code_cells(path)
        for output in cell.outputs
        if "text/markdown" in output.get("data", {})
    ]
    assert all(has_header_row(table) for text in texts for table in tables(text))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_have_headings_in_order_and_tables_with_header_rows(path):
    text = path.read_text(encoding="utf-8")
    levels = [
        len(hashes)
        for hashes in re.findall(
            r"^(#+) ",
            re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE),
            re.MULTILINE,
        )
    ]
    assert (
        levels[0] == 1
        and levels.count(1) == 1
        and all(below <= above + 1 for above, below in zip(levels, levels[1:]))
    )
    assert all(has_header_row(table) for table in tables(text))


HUE = r"\b(?:red|blue|green|orange|purple|violet|pink|yellow|brown|cyan|colou?red)\b"
# Grey, black and white are also what digits are made of: as a cue they stand before something that
# is drawn.
SHADE = (
    r"\b(?:grey|gray|black|white|dark|light|pale)(?:er)? (?:lines?|curves?|bars?|dots?|marks?|"
    r"markers?|arrows?|areas?|bands?|contours?|points?|boxes|box)\b"
)
SECOND_CUE = (
    r"\b(?:solid|dashed|dotted|thin|thick|filled|hollow|hatched|outlined?|circles?|rings?|"
    r"squares?|diamonds?|triangles?|cross(?:es)?|ellipses?|with the digit|left|right|top|bottom|"
    r"upper|lower|above|below|labelled|marked|named)\b"
)


def by_colour_alone(text):
    """The sentences that point at something by its colour and give no other cue."""
    return [
        sentence
        for sentence in re.split(r"(?<=[.?:;])\s|\n\n", text)
        if re.search(f"{HUE}|{SHADE}", sentence, re.IGNORECASE)
        and not re.search(SECOND_CUE, sentence, re.IGNORECASE)
    ]


def test_the_rule_on_colours_can_fail():
    assert by_colour_alone("The red line falls. The dashed blue line rises.") == [
        "The red line falls."
    ]
    assert by_colour_alone("It follows the black curve.") and not by_colour_alone(
        "It follows the solid black curve, and grey pixels stay."
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_is_pointed_at_by_its_colour_alone(path):
    assert not [
        sentence for text in [prose(path), *alts(path)] for sentence in by_colour_alone(text)
    ]
