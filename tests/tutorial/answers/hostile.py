"""Hostile submissions to Tutorial 7. None may earn points that its code does not deserve, or harm
anything outside its worker.

CODE: {name: (task, code of the cell)}: the cell replaces the answer to the task, in a notebook
that answers nothing else.
A task of None means: an extra cell at the start of the notebook. NOTEBOOKS: {name: function}, each
of which damages a notebook
(a dictionary, as in the file) in place, or returns the bytes of a file that takes its place.
"""

import json

CODE = {
    # --- forging points
    "asserts-emptied": (
        None,
        (
            "import ast\nget_ipython().ast_transformers.append(type('T', (ast.NodeTransformer,),"
            " {'visit_Assert': lambda s, n: ast.Pass()})())"
        ),
    ),
    "allclose-lies": (None, "import torch\ntorch.allclose = torch.equal = lambda *a, **k: True"),
    "isinstance-lies": (None, "import builtins\nbuiltins.isinstance = lambda *a: True"),
    "assertion-error-replaced": (
        None,
        "import builtins\nbuiltins.AssertionError = builtins.Warning",
    ),
    "check-replaced": (None, "def check(*a, **k):\n    print('Task 1: the checks pass.')"),
    "module-replaced": (
        None,
        (
            "import sys, types\nfor name in [n for n in sys.modules if 'tutorial' in n]:\n   "
            " sys.modules[name] = types.ModuleType(name)"
        ),
    ),
    "judge-replaced": (
        None,
        (
            "import sys\nfor m in list(sys.modules.values()):\n    for n in ('judge', 'score',"
            " 'graded', 'check', 'verdict'):\n        if hasattr(m, n):\n            try:\n        "
            "        setattr(m, n, lambda *a, **k: None)\n            except Exception:\n          "
            "      pass"
        ),
    ),
    "prints-points": (
        "kl",
        "print('Task 2: the checks pass.')\nprint('8 of 8 points')\nprint('{\"kl\": 8}')",
    ),
    "writes-scores": (
        "kl",
        (
            "import json, os\nfor name in ('scores.json', 'grades.csv', 'result',"
            " 'gradebook.db'):\n    open(name, 'w').write(json.dumps({'kl': 8, 'score': 100}))"
        ),
    ),
    "writes-every-pipe": (
        "kl",
        (
            "import os\nfor fd in range(3, 40):\n    try:\n        os.write(fd, b'{\"kl\": 8}' *"
            " 10)\n    except OSError:\n        pass"
        ),
    ),
    "forged-frame": (
        "kl",
        (
            "import os, struct, json\nh = json.dumps({'__metadata__': {'ok': '1', 'points':"
            " '8'}}).encode()\nfor fd in range(3, 40):\n    try:\n        os.write(fd,"
            " struct.pack('<Q', len(h)) + h)\n        os.close(fd)\n    except OSError:\n       "
            " pass\nos._exit(0)"
        ),
    ),
    "huge-header": (
        "kl",
        (
            "import os, struct\nfor fd in range(3, 40):\n    try:\n        os.write(fd,"
            " struct.pack('<Q', 2 ** 62) + b'{}')\n        os.close(fd)\n    except OSError:\n     "
            "   pass\nos._exit(0)"
        ),
    ),
    "atexit-forger": (
        "kl",
        (
            "import atexit, os\natexit.register(lambda: [os.write(fd, b'8') for fd in (1, 2)])\ndef"
            " gaussian_kl(mu, logvar):\n    return mu.sum(-1)"
        ),
    ),
    "always-equal": (
        "kl",
        (
            "class Liar(torch.Tensor):\n    @classmethod\n    def __torch_function__(cls, f, t,"
            " a=(), k=None):\n        return True\ndef gaussian_kl(mu, logvar):\n    return"
            " mu.sum(-1).as_subclass(Liar)"
        ),
    ),
    "false-tensor": (
        "kl",
        (
            "class Fake:\n    __class__ = torch.Tensor\n    shape = torch.Size([3])\n    dtype ="
            " torch.float32\n    def __getattr__(self, n):\n        return lambda *a, **k:"
            " self\ndef gaussian_kl(mu, logvar):\n    return Fake()"
        ),
    ),
    "false-float": (
        "separation",
        (
            "class F(float):\n    def __eq__(self, o): return True\n    def __sub__(self, o):"
            " return F(0)\n    def __abs__(self): return F(0)\n    def __float__(self): return"
            " 0.5\n    def __repr__(self): return '1.0'\ndef class_separation(codes, labels):\n   "
            " return F(0.5)"
        ),
    ),
    "false-integer": (
        "settings",
        (
            "class I(int):\n    def __le__(self, o): return True\n    def __lt__(self, o): return"
            " True\n    def __index__(self): return 3\n    def __int__(self): return 3\ndef"
            " choose_training():\n    return I(60), 5e-3"
        ),
    ),
    "nan": ("kl", "def gaussian_kl(mu, logvar):\n    return torch.full(mu.shape[:-1], math.nan)"),
    "infinity": (
        "kl",
        "def gaussian_kl(mu, logvar):\n    return torch.full(mu.shape[:-1], math.inf)",
    ),
    "reads-caller": (
        "kl",
        (
            "import sys\ndef gaussian_kl(mu, logvar):\n    frame = sys._getframe(1)\n    while"
            " frame:\n        for value in list(frame.f_locals.values()):\n            if"
            " isinstance(value, torch.Tensor) and value.shape == mu.shape[:-1]:\n               "
            " return value\n        frame = frame.f_back\n    return mu.sum(-1)"
        ),
    ),
    "any-matching-tensor": (
        "kl",
        (
            "import gc\ndef gaussian_kl(mu, logvar):\n    found = [o for o in gc.get_objects() if"
            " type(o) is torch.Tensor and o.shape == mu.shape[:-1]]\n    return found[0] if found"
            " else mu.sum(-1)"
        ),
    ),
    # --- no end, no room
    "endless-cell": ("kl", "while True:\n    pass"),
    "endless-function": ("kl", "def gaussian_kl(mu, logvar):\n    while True:\n        pass"),
    "deaf": (
        "kl",
        (
            "import time, signal\nfor s in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):\n   "
            " signal.signal(s, signal.SIG_IGN)\ndef gaussian_kl(mu, logvar):\n    while True:\n    "
            "    try:\n            time.sleep(1)\n        except BaseException:\n            pass"
        ),
    ),
    "recursion": (
        "kl",
        (
            "import sys\nsys.setrecursionlimit(10 ** 9)\ndef gaussian_kl(mu, logvar):\n    return"
            " gaussian_kl(mu, logvar)"
        ),
    ),
    "memory": (
        "kl",
        (
            "def gaussian_kl(mu, logvar):\n    keep = [bytearray(2 ** 30) for _ in range(200)]\n   "
            " return mu.sum(-1)"
        ),
    ),
    "huge-answer": ("kl", "def gaussian_kl(mu, logvar):\n    return torch.zeros(2 ** 28)"),
    "flood": (
        "kl",
        (
            "def gaussian_kl(mu, logvar):\n    for _ in range(200_000):\n        print('nats ' *"
            " 200)\n    return mu.sum(-1)"
        ),
    ),
    "disk": (
        "kl",
        (
            "with open('filler', 'wb') as f:\n    for _ in range(4000):\n        f.write(bytes(2 **"
            " 20))"
        ),
    ),
    "threads": (
        "kl",
        (
            "import threading, time\nfor _ in range(50):\n    threading.Thread(target=time.sleep,"
            " args=(600,)).start()\ndef gaussian_kl(mu, logvar):\n    return mu.sum(-1)"
        ),
    ),
    "children": (
        "kl",
        (
            "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n        os.setsid()\n    "
            "    if os.fork() == 0:\n            time.sleep(600)\n        os._exit(0)\ndef"
            " gaussian_kl(mu, logvar):\n    return mu.sum(-1)"
        ),
    ),
    # --- an end by force
    "exit": ("kl", "import os\nos._exit(0)"),
    "exit-in-function": ("kl", "import os\ndef gaussian_kl(mu, logvar):\n    os._exit(0)"),
    "system-exit": ("kl", "raise SystemExit(0)"),
    "interrupt": ("kl", "raise KeyboardInterrupt"),
    "segfault": ("kl", "import ctypes\nctypes.string_at(0)"),
    "kills-itself": ("kl", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
    "closes-everything": ("kl", "import os\nos.closerange(0, 100)"),
    # --- settings that outlive the cell
    "sum-is-five": ("kl", "sum = 5"),
    "float64-by-default": (
        "kl",
        "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)",
    ),
    "builtins-broken": (
        "kl",
        "import builtins\nbuiltins.print = builtins.range = builtins.len = None",
    ),
    "torch-broken": ("kl", "import torch\ntorch.randn = torch.Tensor.sum = None"),
    # --- reaching out
    "reads-the-source": (
        "kl",
        (
            "import glob, os, re\nfor root in ('.', '..', '../..', os.getcwd(),"
            " os.environ.get('HOME', '.'), os.environ.get('OLDPWD', '.'), os.environ.get('PWD',"
            " '.')):\n    for p in glob.glob(os.path.join(root, 'source/**/*.ipynb'),"
            " recursive=True) + glob.glob(os.path.join(root, '*.db')):\n       "
            " exec(re.sub(r'.*?def gaussian_kl', 'def gaussian_kl', open(p,"
            " errors='ignore').read(), flags=re.S))"
        ),
    ),
    "plants-startup": (
        "kl",
        (
            "import os, pathlib\np ="
            " "
            "pathlib.Path(os.path.expanduser('~/.ipython/profile_default/startup'))\n"
            "p.mkdir(parents=True,"
            " exist_ok=True)\n(p / '00.py').write_text('print(1)')"
        ),
    ),
    "reads-token": (
        "kl",
        (
            "import os\nif any('TOKEN' in k or 'JUPYTER' in k for k in os.environ):\n    def"
            " gaussian_kl(mu, logvar):\n        return 0.5 * (mu.square() + logvar.exp() - 1 -"
            " logvar).sum(-1)"
        ),
    ),
}


def _cell(book, name):
    return next(c for c in book["cells"] if c.get("id") == name)


def _duplicate(book):
    i = book["cells"].index(_cell(book, "kl"))
    book["cells"].insert(i, json.loads(json.dumps(book["cells"][i])))


def _split(book):
    cell = _cell(book, "kl")
    lines = "".join(cell["source"]).split("\n")
    i = book["cells"].index(cell)
    second = json.loads(json.dumps(cell)) | {"id": "other", "source": "\n".join(lines[1:])}
    cell["source"] = lines[0] + "\n    pass"
    book["cells"].insert(i + 1, second)


def _split_text(book):
    i = book["cells"].index(_cell(book, "claims"))
    book["cells"].insert(
        i, json.loads(json.dumps(book["cells"][i])) | {"id": "half", "source": "The first half."}
    )


def _every(key, value):
    def damage(book):
        for cell in book["cells"]:
            if "nbgrader" in cell["metadata"]:
                cell["metadata"]["nbgrader"][key] = value

    return damage


def _stripped(book):
    for cell in book["cells"]:
        cell["metadata"] = {}
        cell.pop("id", None)
    book["nbformat_minor"] = 4


def _set(book, **values):
    book.update(values)


def _text(source):
    def damage(book):
        _cell(book, "claims")["source"] = source

    return damage


def _output(data, **more):
    def damage(book):
        cell = _cell(book, "measure")
        cell["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": data} | more]
        cell["execution_count"] = 1

    return damage


PROBE = "document.title='ran';fetch('/api/contents').then(r=>{document.body.dataset.ran=r.status})"

NOTEBOOKS = {
    "duplicated-answer": _duplicate,
    "split-answer": _split,
    "split-text": _split_text,
    "schema-99": _every("schema_version", 99),
    "schema-0": _every("schema_version", 0),
    "schema-text": _every("schema_version", "three"),
    "points-1000": _every("points", 1000),
    "points-text": _every("points", "many"),
    "ids-unknown": _every("grade_id", "mine"),
    "ids-a-list": _every("grade_id", ["kl"]),
    "ids-a-script": _every("grade_id", '"><script>' + PROBE + "</script>"),
    "nbgrader-a-number": (
        lambda book: [c.update(metadata={"nbgrader": 7}) for c in book["cells"]] and None
    ),
    "nbgrader-empty": (
        lambda book: [c.update(metadata={"nbgrader": {}}) for c in book["cells"]] and None
    ),
    "metadata-stripped": _stripped,
    "solution-locked": _every("locked", True),
    "nothing-graded": _every("grade", False),
    "no-cells": lambda book: _set(book, cells=[]),
    "cells-a-number": lambda book: _set(book, cells=5),
    "cell-without-source": lambda book: _cell(book, "kl").pop("source") and None,
    "source-a-number": lambda book: _cell(book, "kl").update(source=5),
    "cell-type-unknown": lambda book: _cell(book, "kl").update(cell_type="heading"),
    "answer-as-text": lambda book: _cell(book, "kl").update(cell_type="markdown"),
    "check-as-text": lambda book: _cell(book, "kl_checks").update(cell_type="markdown"),
    "metadata-null": lambda book: [c.update(metadata=None) for c in book["cells"]] and None,
    "language-unknown": lambda book: _set(
        book,
        metadata={
            "kernelspec": {
                "name": "perl",
                "display_name": "</title><script>" + PROBE + "</script>",
                "language": "perl",
            },
            "language_info": {"name": '"><script>1</script>'},
        },
    ),
    "nbformat-3": lambda book: _set(book, nbformat=3),
    "nbformat-99": lambda book: _set(book, nbformat=99),
    "empty-file": lambda book: b"",
    "not-json": lambda book: b"<<<<<<< HEAD\n{",
    "not-utf8": lambda book: b"\xff\xfe\x00{" * 10,
    "a-list": lambda book: b"[1, 2]",
    "deep-json": lambda book: b"[" * 100_000,
    "html-in-its-place": lambda book: b"<html><script>" + PROBE.encode() + b"</script></html>",
    "zip-in-its-place": lambda book: b"PK\x03\x04" + bytes(100),
    # --- scripts for the lecturer's browser
    "script-in-text": _text("An answer.\n\n<script>" + PROBE + "</script>"),
    "image-in-text": _text('<img src=x onerror="' + PROBE + '">'),
    "link-in-text": _text("[click](javascript:" + PROBE + ") <a href='javascript:alert(1)'>x</a>"),
    "svg-in-text": _text('<svg onload="' + PROBE + '"></svg>'),
    "iframe-in-text": _text('<iframe srcdoc="<script>parent.' + PROBE + '</script>"></iframe>'),
    "style-in-text": _text(
        "<style>body{display:none}</style><meta http-equiv=refresh content='0;url=/x'>"
    ),
    "maths-in-text": _text("$\\href{javascript:alert(1)}{x} \\unicode{<script>alert(1)</script>}$"),
    "html-output": _output({"text/html": "<script>" + PROBE + "</script>", "text/plain": "x"}),
    "javascript-output": _output({"application/javascript": PROBE}),
    "svg-output": _output(
        {"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg' onload=\"" + PROBE + '"/>'}
    ),
    "markdown-output": _output({"text/markdown": '<img src=x onerror="' + PROBE + '">'}),
    "latex-output": _output({"text/latex": "$<script>" + PROBE + "</script>$"}),
    "png-output": _output({"image/png": 'x" onerror="' + PROBE + '" y="'}),
    "alt-of-output": _output(
        {"image/png": "aGVsbG8="},
        metadata={
            "image/png": {"alt": '"><script>' + PROBE + "</script>", "width": '1" onload="1'}
        },
    ),
    "widget-output": _output(
        {
            "application/vnd.jupyter.widget-view+json": {
                "model_id": "</script><script>" + PROBE + "</script>"
            }
        }
    ),
    "widget-state": (
        lambda book: book["metadata"].update(
            widgets={
                "application/vnd.jupyter.widget-state+json": {
                    "state": {"a": "</script><script>" + PROBE + "</script>"}
                }
            }
        )
    ),
    "tag-of-cell": (
        lambda book: _cell(book, "claims")["metadata"].update(
            tags=['"><script>' + PROBE + "</script>"]
        )
    ),
    "attachment": (
        lambda book: _cell(book, "claims").update(
            source="![x](attachment:a.svg)",
            attachments={"a.svg": {"image/svg+xml": "<svg onload='1'/>"}},
        )
    ),
}
