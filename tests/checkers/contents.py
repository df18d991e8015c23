"""Walks seed_contents.yaml over bodies, and cuts our own member off them byte by byte.

A cell of the table names a promised content, its path in Default, in CloudEvents, and where a person reads it in
Slack. The walk fails a cell that is absent or empty, or whose three values differ.
"""

import datetime
import re

import yaml

from . import strict_json

SLACK_LIST_MAX = 5
CONTAINER = {"default": "event_data", "cloudevents": "data"}
STEP = re.compile(r"([A-Za-z0-9_]+)|\[(\d+|\*)\]")
JSON_TYPES = {"string": str, "integer": int, "array": list, "object": dict, "boolean": bool}


class Missing(Exception):
    """A promised content is not where the table says; the message names the place."""


def load(path):
    """The table: a mapping of `cells` (list) and `sample` (list)."""
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def cut_last_member(body, form, member="harbinger"):
    """`body` (bytes, `form` default or cloudevents) without `member`, the last of its event data.

    Textual: no byte but the member's own is touched. ValueError when the member is not there or not the last.
    """
    start, end = _member_span(body, 0, CONTAINER[form].encode())[1:]
    before, _, after = _member_span(body, start, member.encode())
    if body[after:end] != b"}":
        raise ValueError(f"{member} is not the last member of {CONTAINER[form]}")
    return body[:before] + body[after:]


def _member_span(body, start, name):
    """(where the member begins, its comma included; where its value begins; where that ends)."""
    if body[start:start + 1] != b"{":
        raise ValueError(f"no object at byte {start}")
    at, begin = start + 1, start + 1
    while body[at:at + 1] == b'"':
        key_end = _string_end(body, at)
        key, value = body[at + 1:key_end - 1], key_end + 1
        if body[key_end:value] != b":":
            raise ValueError(f"no colon at byte {key_end}: not compact JSON")
        after = _value_end(body, value)
        if key == name:
            return begin, value, after
        begin = after
        at = after + 1
        if body[after:at] != b",":
            break
    raise ValueError(f"no member {name.decode()}")


def _string_end(body, at):
    at += 1
    while body[at:at + 1] != b'"':
        if at >= len(body):
            raise ValueError("an open string")
        at += 2 if body[at:at + 1] == b"\\" else 1
    return at + 1


def _value_end(body, at):
    depth = 0
    while at < len(body):
        char = body[at:at + 1]
        if char == b'"':
            at = _string_end(body, at)
        elif char in b"{[":
            depth += 1
            at += 1
        elif char in b"}]":
            if depth == 0:
                return at
            depth -= 1
            at += 1
        elif char == b"," and depth == 0:
            return at
        else:
            at += 1
        if depth == 0 and char in b'"}]':
            return at
    raise ValueError("an open value")


def resolve(document, path):
    """The value at `path` (`a.b[0].c`; `[*]` goes into each element and flattens lists), or Missing."""
    values, many = [document], False
    for name, index in STEP.findall(path):
        found = []
        for value in values:
            if name and isinstance(value, dict) and name in value:
                found.append(value[name])
            elif index == "*" and isinstance(value, list):
                found.extend(value)
            elif index and index != "*" and isinstance(value, list) and int(index) < len(value):
                found.append(value[int(index)])
        many = many or index == "*"
        if not found:
            raise Missing(f"nothing at {path}")
        values = found
    if not many:
        value = values[0]
    else:
        value = [item for value in values for item in (value if isinstance(value, list) else [value])]
    if value is None or value == "" or value == [] or value == {}:
        raise Missing(f"empty at {path}")
    return value


def unescape(text):
    """Undo Slack's three entities, the ampersand last."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def slack_read(message, where):
    """What a person reads at `where`: {field: LABEL}, {context: REGEX} or {detail: true}; `pattern` narrows it."""
    texts = [_slack_field(message, where["field"])] if "field" in where else _slack_texts(message, where)
    pattern = where.get("context") or where.get("pattern") or r"(?s)(.+)"
    for text in texts:
        match = re.search(pattern, text)
        if match:
            return unescape(match.group(1))
    raise Missing(f"nothing at {where} in Slack")


def _slack_field(message, label):
    for block in message["blocks"]:
        for field in block.get("fields", []):
            if field["text"].startswith(f"*{label}*\n"):
                lines = field["text"].split("\n")[1:]
                return "\n".join(line[1:-1] if line[:1] == "`" and line[-1:] == "`" else line for line in lines)
    raise Missing(f"no field {label} in Slack")


def _slack_texts(message, where):
    for block in message["blocks"]:
        if "context" in where and block["type"] == "context":
            yield from (element["text"] for element in block["elements"])
        if "detail" in where and block["type"] == "section" and "text" in block:
            yield block["text"]["text"]


def readable_size(size):
    """Bytes as people read them: base 1024, one decimal above 1023."""
    if size < 1024:
        return f"{size} B"
    units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    value, unit = size / 1024, 0
    while value >= 1024 and unit < len(units) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {units[unit]}"


def unix(value):
    """Unix seconds of an integer, of digits, or of an RFC 3339 time in UTC."""
    if isinstance(value, int) or value.isdigit():
        return int(value)
    return int(datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp())


def _agree(kind, default, cloudevents, slack):
    if kind == "time":
        return unix(default) == unix(cloudevents) == unix(slack)
    if default != cloudevents:
        return False
    if kind == "size":
        return readable_size(default) == slack
    if kind == "list":
        return [str(item) for item in default][:SLACK_LIST_MAX] == slack.split("\n")[:SLACK_LIST_MAX]
    if kind == "one_of":
        return str(default) in slack.split("\n")
    return str(default) == slack


def walk(table, bodies):
    """The faults of `bodies` ({event: {default, cloudevents, slack}}, bytes) against the table's cells.

    An event of the table without bodies is a fault, and so is a cell that names no place.
    """
    faults, parsed = [], {}
    for cell in table["cells"]:
        event, content = cell["event"], cell["content"]
        try:
            if event not in parsed:
                parsed[event] = {form: strict_json.loads(body) for form, body in bodies[event].items()}
            forms = parsed[event]
            default = resolve(forms["default"], cell["default"])
            cloudevents = resolve(forms["cloudevents"], cell["cloudevents"])
            slack = slack_read(forms["slack"], cell["slack"])
        except Missing as error:
            faults.append(f"{event}, {content}: {error}")
        except (KeyError, strict_json.NotStrict) as error:
            faults.append(f"{event}, {content}: no body or place: {error}")
        else:
            if not _agree(cell.get("as", "text"), default, cloudevents, slack):
                faults.append(f"{event}, {content}: {default!r}, {cloudevents!r} and {slack!r} differ")
    return faults


def check_sample(table, body):
    """The faults of a Default body against the sample of the vendor's document: every key path and JSON type."""
    document, faults = strict_json.loads(body), []
    for path, kind in table["sample"].items():
        try:
            value = resolve(document, path)
        except Missing as error:
            faults.append(f"sample: {error}")
            continue
        if type(value) is not JSON_TYPES[kind]:
            faults.append(f"sample: {path} is a {type(value).__name__}, not {kind}")
    return faults
