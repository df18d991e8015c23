# SPDX-License-Identifier: Apache-2.0
"""api/openapi.yaml: which operation a request is, and whether an answer is one that it promises."""
import json
import os
import pathlib
import re
import threading

import jsonschema
import yaml

PATH = pathlib.Path(__file__).resolve().parents[3] / "api" / "openapi.yaml"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# Anything may be said about a path or method that is no operation, or before the request is understood.
_OUTSIDE = {400, 401, 403, 404, 405, 408, 413, 431, 503}


class Operation:
    def __init__(self, path, method, value, parameters):
        self.path, self.method, self.value = path, method, value
        self.id = value["operationId"]
        self.parameters = parameters + value.get("parameters", [])
        self.literals = sum(1 for part in path.split("/") if part and not part.startswith("{"))
        # A repository's name may hold slashes: the one parameter that takes many segments.
        pattern = re.sub(r"\\\{repository_name\\\}", ".+", re.escape(path))
        self.pattern = re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", pattern) + "/?")


class Spec:
    def __init__(self, path=PATH):
        self.path = path
        self._lock = threading.Lock()
        self._operations = None

    def _load(self):
        with self._lock:
            if self._operations is None:
                with open(self.path, encoding="utf-8") as file:
                    self.document = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
                found = []
                for path, item in self.document["paths"].items():
                    found += [Operation(path, method.upper(), item[method], item.get("parameters", []))
                              for method in METHODS if method in item]
                self._operations = sorted(found, key=lambda operation: -operation.literals)
        return self._operations

    @property
    def operations(self):
        return self._load()

    def find(self, method, target):
        """The operation of a request, or None."""
        path = target.split("?", 1)[0]
        matching = [operation for operation in self.operations if operation.pattern.fullmatch(path)]
        if not matching:
            return None
        best = [operation for operation in matching if operation.literals == matching[0].literals]
        return next((operation for operation in best if operation.method == method), None)

    def resolve(self, value):
        """What a $ref stands for."""
        while "$ref" in value:
            found = self.document
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            value = found
        return value

    def responses(self, operation):
        """status -> response object."""
        return {int(status): self.resolve(value) for status, value in operation.value["responses"].items()}

    def validate(self, schema, value, what):
        whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema],
                 "components": self.document["components"]}
        problems = list(jsonschema.Draft202012Validator(whole).iter_errors(value))
        if problems:
            words = "\n".join(f"  {'/'.join(str(part) for part in one.absolute_path) or '(top)'}: {one.message[:400]}"
                              for one in problems[:5])
            raise AssertionError(f"{what} is not what {PATH.name} says:\n{words}\n  {json.dumps(value)[:1500]}")

    def check(self, answer, sent=None):
        """Holds an answer (status, headers, body of support.api.Answer) against its operation; notes that it was seen."""
        operation = self.find(answer.method, answer.path)
        if operation is None:
            assert answer.status in _OUTSIDE, f"{answer!r}: no such operation in {PATH.name}"
            if answer.method != "HEAD":
                self.validate({"$ref": "#/components/schemas/Errors"}, json.loads(answer.body), repr(answer))
            return
        responses = self.responses(operation)
        note(operation.id, answer.status)
        assert answer.status in responses, f"{answer!r}: {PATH.name} has no status {answer.status} for {operation.id}"
        response = responses[answer.status]
        for name, header in response.get("headers", {}).items():
            header = self.resolve(header)
            value = answer.header(name)
            assert value is not None or not header.get("required"), f"{answer!r} has no {name}"
        self._check_body(operation, response, answer)
        if sent is not None and 200 <= answer.status < 300:
            request = self.resolve(operation.value["requestBody"])
            self.validate(request["content"]["application/json"]["schema"], sent, f"the request body of {answer!r}")

    def _check_body(self, operation, response, answer):
        content = response.get("content")
        if not content or answer.method == "HEAD":
            assert answer.body == b"", f"{answer!r}: {operation.id} has no body with this status"
            return
        got = (answer.header("Content-Type") or "").split(";")[0].strip()
        assert got in content, f"{answer!r}: content type {got!r}, not one of {list(content)}"
        if got == "application/json":
            assert answer.body.endswith(b"\n"), f"{answer!r} does not end in a newline"
            self.validate(content[got]["schema"], json.loads(answer.body), repr(answer))


SPEC = Spec()

_note_lock = threading.Lock()
_noted = set()


def note(operation, status):
    """Each pair once per process, in a file of the process's own: workers never share one."""
    folder = os.environ.get("HARBINGER_OPENAPI_SEEN")
    with _note_lock:
        if not folder or (operation, status) in _noted:
            return
        _noted.add((operation, status))
        with open(os.path.join(folder, f"{os.getpid()}.seen"), "a", encoding="utf-8") as file:
            file.write(f"{operation} {status}\n")
