# SPDX-License-Identifier: Apache-2.0
"""The secrets that the suite uses, and the search for them in everything that it produced.

    secret("ci")                  # "hbsecret-ci-1f2e3d4c5b6a": a token of a form that nothing else has; the same again in
                                  # this process. For addresses, userinfo, queries, auth headers, passwords
    remember("Bearer T0k3n")      # a secret of another form: a session's cookie, an API token that the server made
    keep_answer(...)              # an API answer, for the search

With $HARBINGER_TRACES (a folder; tests/conftest.py sets it) each server writes down where its log and its data are, and each
answer is kept beside them. When the last test has ended, find_leaks(folder) reads all of it, and every backup, as bytes:
plain, percent-encoded and base64 at each of the three alignments. What may hold a secret is cut out before an answer is
kept (answer_as_kept says what and why). Not searched: cores, which hold what the process held.
"""
import base64
import json
import os
import pathlib
import re
import secrets as randomness
import subprocess
import tempfile
import threading
import urllib.parse

PREFIX = "hbsecret-"
_MIN_BYTES = 10  # of what is remembered: shorter ones are words that stand everywhere
_MIN_KINDS = 6  # different characters in it: a thousand x are no secret
_PATHS_AT_ONCE = 1000
_lock = threading.Lock()
_made = {}
_remembered = set()


def secret(name):
    """A token with this name in it, made once per process."""
    with _lock:
        if name not in _made:
            _made[name] = f"{PREFIX}{re.sub('[^A-Za-z0-9]+', '-', name)}-{randomness.token_hex(6)}"
        return _made[name]


def remember(value):
    """A secret that secret() did not make; too short a one is left out."""
    folder = os.environ.get("HARBINGER_TRACES")
    with _lock:
        if len(value) < _MIN_BYTES or len(set(value)) < _MIN_KINDS or PREFIX in value or "\n" in value:
            return
        if not folder or value in _remembered:
            return
        _remembered.add(value)
        with open(pathlib.Path(folder) / f"{os.getpid()}.secrets", "a", encoding="utf-8") as file:
            file.write(value + "\n")


def remember_targets(body):
    """The secrets of a webhook that is about to be saved or tested: auth headers, and what may be one in an address."""
    policy = body.get("policy", body) if isinstance(body, dict) else {}
    targets = policy.get("targets") if isinstance(policy, dict) else None
    for target in targets if isinstance(targets, list) else []:
        if not isinstance(target, dict):
            continue
        header, address = target.get("auth_header"), target.get("address")
        if isinstance(header, str) and set(header) != {"*"}:
            remember(header.split(" ", 1)[-1])  # what follows the scheme
        for part in _secret_parts(address) if isinstance(address, str) else []:
            remember(part)


def _secret_parts(address):
    """Userinfo, and long path segments and query values: short ones (/hook) are words."""
    try:
        parts = urllib.parse.urlsplit(address)
        password = parts.password or ""
    except ValueError:
        return []
    long = [part for part in re.split("[/&=;?]", f"{parts.path}?{parts.query}") if len(part) >= 24]
    return [password, *long]


# -- what is kept --


def keep_server(*paths):
    """Files or folders of a server to search at the end."""
    folder = os.environ.get("HARBINGER_TRACES")
    if folder:
        with _lock, open(pathlib.Path(folder) / f"{os.getpid()}.places", "a", encoding="utf-8") as file:
            file.writelines(f"{path}\n" for path in paths)


def keep_answer(method, path, status, headers, body, reveals=False):
    """`headers`: lower-case name -> value. `reveals`: the server was told to show auth headers."""
    folder = os.environ.get("HARBINGER_TRACES")
    if not folder:
        return
    kept = answer_as_kept(method, path, status, headers, body, reveals)
    with _lock, open(pathlib.Path(folder) / f"{os.getpid()}.answers", "ab") as file:
        file.write(kept + b"\n")


def answer_as_kept(method, path, status, headers, body, reveals=False):
    """The answer without what it is there to tell: a new token to who made it, a session's cookie to who signed in, the
    address of a webhook to who may change or test it."""
    left_out = ("set-cookie", "x-harbor-csrf-token")
    head = "".join(f"{name}: {value}\n" for name, value in headers.items() if name not in left_out)
    plain = path.split("?", 1)[0].rstrip("/")
    if method == "POST" and plain.endswith("/harbinger/tokens"):
        body = _json_without(body, lambda value: value.pop("token", None))
    elif re.search(r"/webhook/policies(/\d+(/pause|/resume)?)?$", plain):
        body = _json_without(body, lambda value: _without_addresses(value, reveals))
    elif re.search(r"/webhook/(deliveries/\d+|policies(/\d+)?/test)$", plain):
        body = _json_without(body, lambda value: value.pop("address", None))
    return f"{method} {plain}\n{status}\n{head}\n".encode("utf-8", "replace") + body


def _without_addresses(value, reveals):
    for policy in value if isinstance(value, list) else [value]:
        if not isinstance(policy, dict):
            continue
        for target in policy.get("targets", []):
            target.pop("address", None)
            if reveals:
                target.pop("auth_header", None)


def _json_without(body, cut):
    try:
        value = json.loads(body)
    except ValueError:
        return body
    if not isinstance(value, (dict, list)):
        return body
    cut(value)
    return json.dumps(value).encode()


# -- the search --


def forms(value):
    """All spellings of a secret: plain, percent-encoded, and base64 wherever in a longer text it begins."""
    raw = value.encode("utf-8")
    found = {raw, urllib.parse.quote(value, safe="").encode()}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
        # Characters at the edges depend on the neighbours, too.
        start = (0, 2, 3)[shift]
        end = len(encoded) - (1 if (shift + len(raw)) % 3 else 0)
        found.add(encoded[start:end])
        found.add(encoded[start:end].replace(b"+", b"-").replace(b"/", b"_"))
    return {form for form in found if len(form) >= 8}


class Leak:
    """A secret's spelling at `offset` of `path`."""

    def __init__(self, path, offset, found):
        self.path, self.offset, self.found = path, offset, found

    def __str__(self):
        return f"{self.path}: at byte {self.offset}: {self.around()!r}"

    def around(self, before=60, after=80):
        try:
            with open(self.path, "rb") as file:
                file.seek(max(0, self.offset - before))
                return file.read(before + after)
        except OSError:
            return self.found  # the file has gone meanwhile


def _lines(folder, suffix):
    return sorted({line for path in pathlib.Path(folder).glob(f"*.{suffix}")
                   for line in path.read_text(encoding="utf-8").split("\n") if line})


def places(folder, trees=()):
    """What to search: what was kept in `folder`, and below each of `trees` every file of a store or a backup."""
    found = [pathlib.Path(line) for line in _lines(folder, "places")]
    found += pathlib.Path(folder).glob("*.answers")
    for tree in trees:
        for top, folders, names in os.walk(tree):
            if "backup" in os.path.basename(top).lower():
                found.append(pathlib.Path(top))
                folders.clear()
            else:
                found += [pathlib.Path(top, name) for name in names if ".db" in name]
    return [path for path in found if path.exists()]


def find_leaks(folder, trees=(), extra=()):
    """Leaks of all secrets of this run (and `extra`) in places(folder, trees)."""
    patterns = set()
    for value in (PREFIX, *_lines(folder, "secrets"), *extra):
        patterns |= forms(value)
    searched = sorted({str(path) for path in places(folder, trees)})
    leaks = {}
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join(sorted(patterns)) + b"\n")
        file.flush()
        for start in range(0, len(searched), _PATHS_AT_ONCE):
            for leak in _grep(file.name, searched[start:start + _PATHS_AT_ONCE]):
                leaks[leak.path, leak.offset] = leak
    return list(leaks.values())


def _grep(patterns, paths):
    """grep reads gigabytes in seconds, whatever the number of words."""
    command = ["grep", "-r", "-o", "-b", "-H", "-Z", "-U", "-a", "-F", "-D", "skip", "-f", patterns, "--", *paths]
    done = subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    # A file may go while it is searched: that of a server which ends only now.
    words = done.stderr.decode("utf-8", "replace").splitlines()
    assert all(line.endswith("No such file or directory") for line in words), "\n".join(words)
    for line in done.stdout.split(b"\n"):
        if line:
            path, _, rest = line.partition(b"\0")
            offset, _, found = rest.partition(b":")
            yield Leak(os.fsdecode(path), int(offset), found)


def report(leaks, most=20):
    words = [f"{len(leaks)} places hold a secret that the suite used:"] + [f"  {leak}" for leak in leaks[:most]]
    return "\n".join(words)
