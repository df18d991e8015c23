"""A JSON reader that refuses what RFC 8259 leaves to taste: the base of the other checkers."""

import json


class NotStrict(ValueError):
    """The bytes are not strict JSON; the message says what is wrong with them."""


def _members(pairs):
    seen = {}
    for key, value in pairs:
        if key in seen:
            raise NotStrict(f"the member {key!r} stands twice in one object")
        seen[key] = value
    return seen


def _constant(word):
    raise NotStrict(f"{word} is not JSON")


def loads(body):
    """Parse `body` (bytes): UTF-8 without a mark, no duplicate member, no raw control byte, no lone surrogate."""
    try:
        text = body.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise NotStrict(f"not UTF-8: {error}") from error
    if text.startswith("\ufeff"):
        raise NotStrict("starts with a byte order mark")
    try:
        value = json.loads(text, object_pairs_hook=_members, parse_constant=_constant)
    except NotStrict:
        raise
    except ValueError as error:
        raise NotStrict(f"not JSON: {error}") from error
    for string in strings(value):
        if any(0xD800 <= ord(char) <= 0xDFFF for char in string):
            raise NotStrict("a lone surrogate in a string")
    return value


def strings(value):
    """Every string in a parsed value, member names included."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
