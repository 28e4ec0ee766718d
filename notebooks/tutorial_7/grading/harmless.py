"""Make a graded notebook safe to show: in the formgrader, which runs with the lecturer's rights,
and in the feedback.

Only what is known to be harmless is kept. Of outputs: text and pictures. Of Markdown: what cannot
become a tag or a
script. `nbconvert` escapes the rest itself: code, printed text, tracebacks.
"""

import base64
import binascii
import re

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

TEXT_LIMIT = 100_000  # characters of output that are kept for one cell
PICTURE_LIMIT = 2_000_000  # bytes of pictures that are kept for one cell
PICTURES = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8\xff"}


class Harmless(NbGraderPreprocessor):
    """Keep of every cell only what cannot run in a browser."""

    def preprocess(self, nb, resources):
        for cell in nb.cells:
            cell.pop("attachments", None)
            if cell.cell_type != "code":
                cell.source = markdown(cell.source)
            else:
                count = cell.get("execution_count")
                cell.execution_count = count if isinstance(count, int) else None
                cell.outputs = outputs(cell.outputs)
        return nb, resources


def markdown(text):
    """Return Markdown in which no tag, no entity and no script address is left; formulas mean what
    they meant."""
    text = re.sub(r"<(?=[A-Za-z/!?])", "< ", text)  # behind a space, a browser reads no tag
    text = re.sub(r"&(?=[#A-Za-z])", "& ", text)  # no colon spelt as an entity
    text = re.sub(r"(?i)\b(javascript|vbscript|data|file)\s*:", r"\1 :", text)
    return re.sub(r"\\(href|url|require|unicode|html\w*|style|class|cssId)\b", r"\1", text)


def outputs(found):
    """Return the outputs of a cell that are text or pictures, up to the limits."""
    text, picture, kept = TEXT_LIMIT, PICTURE_LIMIT, []
    for output in found:
        safe = _output(output) if isinstance(output, dict) else None
        if safe is None:
            continue
        data = safe.get("data", {})
        size = sum(len(v) for k, v in data.items() if k in PICTURES)
        picture -= size
        text -= len(str(safe)) - size
        if text < 0 or picture < 0:
            kept.append(_stream("[More output was left out.]\n"))
            break
        kept.append(safe)
    return kept


def _output(output):
    kind = output.get("output_type")
    if kind == "stream":
        text = _text(output.get("text"))
        if len(text) > TEXT_LIMIT // 2:
            text = f"{text[: TEXT_LIMIT // 4]}\n[...]\n{text[-TEXT_LIMIT // 8 :]}"
        return _stream(text)
    if kind == "error":
        lines = output.get("traceback")
        lines = [_text(line)[:1000] for line in lines[-50:]] if isinstance(lines, list) else []
        return NotebookNode(
            output_type="error",
            ename=_text(output.get("ename"))[:100],
            evalue=_text(output.get("evalue"))[:1000],
            traceback=lines,
        )
    if kind in ("display_data", "execute_result") and isinstance(output.get("data"), dict):
        data = _data(output["data"])
        return NotebookNode(output_type="display_data", metadata={}, data=data) if data else None
    return None


def _stream(text):
    return NotebookNode(output_type="stream", name="stdout", text=text)


def _data(found):
    for kind, start in PICTURES.items():
        try:
            picture = base64.b64decode(_text(found.get(kind)), validate=False)
        except (binascii.Error, ValueError):
            continue
        if picture.startswith(start):
            return NotebookNode({kind: base64.b64encode(picture).decode()})
    text = _text(found.get("text/plain"))[:TEXT_LIMIT]
    return NotebookNode({"text/plain": text}) if text else None


def _text(value):
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""
