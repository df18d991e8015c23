"""Holds a structured-mode CloudEvents body to CloudEvents 1.0.2 (core, JSON format, HTTP binding)."""

import datetime
import json
import re

from . import strict_json

CONTENT_TYPE = "application/cloudevents+json"
REQUIRED = ("specversion", "id", "source", "type")
NAME = re.compile(r"[a-z0-9]{1,20}\Z")
MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(\s*;\s*[A-Za-z0-9_-]+=(\"[^\"]*\"|[^\s;\"]+))*\Z")
JSON_TYPE = re.compile(r"[^/]+/([^;]+\+)?json\s*(;.*)?\Z", re.IGNORECASE)
URI_CHARS = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+\Z")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")


def check(body, content_type=None):
    """The list of faults of `body` (bytes), empty when it is good.

    `content_type`: the request's Content-Type, held to the structured JSON mode; None when it is not known.
    """
    faults = []
    if content_type is not None and content_type.split(";")[0].strip().lower() != CONTENT_TYPE:
        faults.append(f"Content-Type is {content_type!r}, not {CONTENT_TYPE}")
    try:
        event = strict_json.loads(body)
    except strict_json.NotStrict as error:
        return faults + [str(error)]
    if not isinstance(event, dict):
        return faults + ["not an object"]
    for name in REQUIRED:
        if event.get(name) is None:
            faults.append(f"{name}: required and missing")
    for name, value in event.items():
        if name in ("data", "data_base64") or value is None:
            continue
        faults += [f"{name}: {what}" for what in _attribute(name, value)]
    return faults + _data(event)


def _attribute(name, value):
    if not NAME.match(name):
        yield "not a name of 1 to 20 characters of a-z and 0-9"
    if isinstance(value, bool):
        pass
    elif isinstance(value, int):
        if not -(2**31) <= value < 2**31:
            yield "an integer beyond 32 bits"
    elif not isinstance(value, str):
        yield f"a {type(value).__name__} is no attribute type"
    else:
        bad = [char for char in value if _forbidden(ord(char))]
        if bad:
            yield f"holds U+{ord(bad[0]):04X}, forbidden in a String"
    if name in _CONTEXT:
        if not isinstance(value, str):
            yield "not a string"
        elif not _CONTEXT[name](value):
            yield f"{value!r} is not allowed"


def _forbidden(code):
    return code <= 0x1F or 0x7F <= code <= 0x9F or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _time(value):
    match = TIME.match(value)
    if not match:
        return False
    try:
        datetime.datetime.fromisoformat(f"{match[1]}T{match[2]}")
    except ValueError:
        return False
    return True


_CONTEXT = {
    "specversion": lambda value: value == "1.0",
    "id": bool,
    "source": URI_CHARS.match,
    "type": bool,
    "datacontenttype": MEDIA_TYPE.match,
    "dataschema": lambda value: URI_CHARS.match(value) and SCHEME.match(value),
    "subject": bool,
    "time": _time,
}


def _data(event):
    faults = []
    if "data" in event and "data_base64" in event:
        faults.append("data and data_base64 exclude each other")
    data, kind = event.get("data"), event.get("datacontenttype") or "application/json"
    if not isinstance(kind, str) or "data" not in event:
        return faults
    if not JSON_TYPE.match(kind):
        if not isinstance(data, str):
            faults.append(f"data: {kind} must be carried as a string")
    elif isinstance(data, str):
        try:
            json.loads(data)
        except ValueError:
            return faults
        faults.append("data: a string that holds JSON, where the JSON value itself belongs")
    return faults
