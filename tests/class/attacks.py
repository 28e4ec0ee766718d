"""What a hostile submission to Tutorial 7 tries against the machine that grades it.

READERS, HARM, ESCAPES: {name: code}. It sets `won` if it got what it wanted; then it answers the
KL task rightly, so that the points say how the attack went. `{lecturer}` is the folder of all that
it must not reach (`Lecturer` in test_attacks.py), `{port}` a server on the grading machine.
"""

ANSWER = """
if won:
    def gaussian_kl(mu, logvar):
        return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=-1)
"""

# These succeed where there is no sandbox, which the tests show.
READERS = {
    "solutions": "won = 'logvar' in open('{lecturer}/course/source/tutorial_7.ipynb').read()",
    "neighbours": """
import glob
won = any('ada' in open(p).read() for p in glob.glob('{lecturer}/course/submitted/*/*.ipynb'))
""",
    "gradebook": """
import sqlite3
book = sqlite3.connect('{lecturer}/course/gradebook.db', timeout=1)
book.execute('BEGIN EXCLUSIVE')
won = book.execute('SELECT points FROM grade').fetchone() == (1,)
""",
    "token": """
import os
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        with open(f'/proc/{pid}/environ', 'rb') as f:
            won = won or b'JUPYTERHUB_API_TOKEN' in f.read()
    except OSError:
        pass
""",
    "exchange": """
import os
won = os.listdir('{lecturer}/exchange/inbound') != []
""",
    "exchange-written": """
import os
os.mkdir('{lecturer}/exchange/inbound/ada+tutorial_7+2027-01-01')
won = True
""",
    "symbolic-link": """
import os
os.symlink('{lecturer}/course/source/tutorial_7.ipynb', 'link')
won = 'logvar' in open('link').read()
""",
    "startup-file": """
import os
os.makedirs('{lecturer}/home/.ipython/profile_default/startup', exist_ok=True)
with open('{lecturer}/home/.ipython/profile_default/startup/00.py', 'w') as f:
    f.write('print(1)')
won = True
""",
    "cache": """
with open('{lecturer}/cache/model.pt', 'w') as f:
    f.write('poison')
won = True
""",
    "network": """
import socket
socket.create_connection(('127.0.0.1', {port}), timeout=2).close()
won = True
""",
    "unix-socket": """
import socket
s = socket.socket(socket.AF_UNIX)
s.connect('{lecturer}/home/socket')
won = True
""",
    "other-processes": """
import os
won = sum(name.isdigit() for name in os.listdir('/proc')) > 8
""",
}

# These want to harm. The tests limit them, and look at what is left.
HARM = {
    "fork-bomb": """
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(1)
""",
    "memory": """
import os, time
for _ in range(6):
    if os.fork() == 0:
        break
keep = []
while True:
    try:
        keep.append(os.urandom(2 ** 24))
    except MemoryError:
        time.sleep(1)
""",
    "disk": """
import os
written, i = 0, 0
while True:
    try:
        for folder in ('.', '/tmp', '/dev/shm', '/var/tmp', os.path.expanduser('~')):
            with open(f'{folder}/filler{i}', 'wb') as f:
                written += f.write(bytes(2 ** 20 - 1))
    except OSError as error:
        if i > 2000:
            break
    i += 1
won = written > 2 ** 28
""",
    "deaf": """
import signal, time
for s in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(s, signal.SIG_IGN)
while True:
    try:
        time.sleep(1)
    except BaseException:
        pass
""",
    "huge-output": """
import os, sys
for _ in range(3000):
    print('nats ' * 20_000)
    sys.stderr.write('nats ' * 20_000)
for fd in range(1, 40):
    try:
        os.set_blocking(fd, False)
        for _ in range(300):
            os.write(fd, b'x' * 2 ** 20)
    except OSError:
        pass
""",
    "kills-all": "import os\nos.kill(-1, 9)",
}

# These try to become somebody else, or to change what is shared.
ESCAPES = {
    "other-user": """
import os
os.setuid(0)
won = True
""",
    "new-namespace": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
won = libc.unshare(0x10020000) == 0 and libc.mount(b'none', b'/usr', b'tmpfs', 0, None) == 0
""",
    "remount": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
won = libc.mount(None, b'/usr', None, 32, None) == 0
""",
    "package-changed": """
import lecture_utils
with open(lecture_utils.__file__, 'a') as f:
    f.write('# changed')
won = True
""",
}


PROBE = """
import json
won, results = False, {}
for name, code in ATTACKS.items():
    names = {"won": False}
    try:
        exec(code, names)
    except Exception:
        pass
    results[name] = bool(names["won"])
print(json.dumps(results))
"""


def filled_in(code: str, lecturer, port: int) -> str:
    """The code with the places that it attacks."""
    return code.replace("{lecturer}", str(lecturer)).replace("{port}", str(port)).strip()


def probe(codes: dict[str, str], lecturer, port: int) -> str:
    """A program that tries all of these and prints as JSON which succeeded."""
    wanted = {name: filled_in(code, lecturer, port) for name, code in codes.items()}
    return f"ATTACKS = {wanted!r}\n{PROBE}"


def cell(name: str, lecturer, port: int) -> str:
    """The code of a cell that attacks, and answers the KL task if that succeeds."""
    code = filled_in((READERS | HARM)[name], lecturer, port)
    lines = "\n".join("    " + line for line in code.split("\n"))
    return f"won = False\ntry:\n{lines}\nexcept Exception:\n    pass\n{ANSWER}"
