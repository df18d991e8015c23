"""Holds a Slack incoming-webhook body to Slack's limits and to our rule that no name becomes markup.

Limits: Block Kit (50 blocks, header 150, section text 3000, 10 fields of 2000, 10 context elements) and the
undocumented total near 13,200 characters. Characters are code points, counted in the escaped text as it is sent.
"""

import re

from . import strict_json

MAX_BLOCKS = 50
MAX_HEADER = 150
MAX_SECTION_TEXT = 3000
MAX_FIELDS = 10
MAX_FIELD = 2000
MAX_CONTEXT_ELEMENTS = 10
MAX_CONTEXT_TEXT = 2000
MAX_TOTAL = 13200
MAX_TEXT = 4000  # Slack cuts at 40,000 and asks for 4,000

ENTITY = re.compile(r"&(amp|lt|gt);")
DATE = re.compile(r"<!date\^\d{1,12}\^\{date_short_pretty\} \{time\}\|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ>")
CODE = re.compile(r"`([^`\n]+)`")
LABEL = re.compile(r"\A\*[A-Z][A-Za-z ]*\*\n")
# What may stand outside code spans: words and numbers of our own, nothing that Slack reads as formatting.
OWN_WORDS = re.compile(r"[A-Za-z0-9 .,:()%\n]*\Z")


def check(body, link_base=None):
    """The list of faults of `body` (bytes), empty when it is good.

    `link_base`: the portal's URL; a link below it is the only link that may be live. None: no link may be.
    """
    try:
        message = strict_json.loads(body)
    except strict_json.NotStrict as error:
        return [str(error)]
    return _Check(link_base).message(message)


class _Check:
    def __init__(self, link_base):
        self.link_base = link_base
        self.faults = []
        self.total = 0

    def fault(self, where, what):
        self.faults.append(f"{where}: {what}")

    def message(self, message):
        if not isinstance(message, dict):
            return ["body: not an object"]
        if set(message) != {"text", "blocks"}:
            self.fault("body", f"members are {sorted(message)}, not text and blocks")
        self.summary(message.get("text"))
        blocks = message.get("blocks")
        if not isinstance(blocks, list) or not 1 <= len(blocks) <= MAX_BLOCKS:
            self.fault("blocks", f"not an array of 1 to {MAX_BLOCKS}")
            return self.faults
        for index, block in enumerate(blocks):
            self.block(f"blocks[{index}]", block)
        if self.total > MAX_TOTAL:
            self.fault("blocks", f"{self.total} characters in all, more than {MAX_TOTAL}")
        return self.faults

    def summary(self, text):
        if not isinstance(text, str) or not text.strip():
            self.fault("text", "no fallback text")
            return
        if len(text) > MAX_TEXT:
            self.fault("text", f"{len(text)} characters, more than {MAX_TEXT}")
        self.live(text, "text", links=False)
        self.formatting(text, "text")

    def block(self, where, block):
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "header":
            self.members(where, block, {"type", "text"})
            self.text_object(f"{where}.text", block.get("text"), MAX_HEADER, {"plain_text"})
        elif kind == "section":
            self.section(where, block)
        elif kind == "context":
            self.members(where, block, {"type", "elements"})
            self.list(f"{where}.elements", block.get("elements"), MAX_CONTEXT_ELEMENTS, MAX_CONTEXT_TEXT)
        else:
            self.fault(where, f"a block of type {kind!r}")

    def section(self, where, block):
        self.members(where, block, {"type", "text", "fields"})
        if "text" not in block and "fields" not in block:
            self.fault(where, "a section without text and fields")
        if "text" in block:
            self.text_object(f"{where}.text", block["text"], MAX_SECTION_TEXT, {"plain_text", "mrkdwn"})
        if "fields" in block:
            self.list(f"{where}.fields", block["fields"], MAX_FIELDS, MAX_FIELD)

    def list(self, where, items, max_items, max_chars):
        if not isinstance(items, list) or not 1 <= len(items) <= max_items:
            self.fault(where, f"not an array of 1 to {max_items}")
            return
        for index, item in enumerate(items):
            self.text_object(f"{where}[{index}]", item, max_chars, {"plain_text", "mrkdwn"})

    def members(self, where, value, allowed):
        for name in value:
            if name not in allowed:
                self.fault(where, f"unknown member {name!r}")

    def text_object(self, where, value, max_chars, kinds):
        if not isinstance(value, dict) or value.get("type") not in kinds:
            self.fault(where, f"not a text object of {sorted(kinds)}")
            return
        kind, text = value["type"], value.get("text")
        if not isinstance(text, str) or not 1 <= len(text) <= max_chars:
            self.fault(where, f"text is not of 1 to {max_chars} characters")
            return
        self.total += len(text)
        if kind == "plain_text":
            self.members(where, value, {"type", "text", "emoji"})
            if value.get("emoji") is not False:
                self.fault(where, "emoji is not false: a name such as :x: would be drawn")
            self.live(text, where, links=False)
            return
        self.members(where, value, {"type", "text", "verbatim"})
        if value.get("verbatim") is not True:
            self.fault(where, "verbatim is not true: Slack would link names and addresses by itself")
        self.formatting(self.live(text, where, links=True), where)

    def live(self, text, where, links):
        """Fault entities that are broken and markup that is not ours; the text without our own markup."""
        rest = text
        if links:
            rest = DATE.sub("", rest)
            if self.link_base:
                link = re.compile("<" + re.escape(self.link_base) + r"/[A-Za-z0-9/_.-]*\|[A-Za-z ]+>")
                rest = link.sub("", rest)
        bare = ENTITY.sub("", rest)
        for char, what in (("&", "an ampersand that begins no entity"), ("<", "live markup"), (">", "a bare >")):
            if char in bare:
                self.fault(where, f"{what} near {bare[max(0, bare.index(char) - 10):bare.index(char) + 20]!r}")
        return rest

    def formatting(self, text, where):
        """Everything of the event must stand in code spans, where Slack reads no formatting."""
        rest = CODE.sub("", LABEL.sub("", text))
        if "`" in rest:
            self.fault(where, "a code span is not closed on its line")
        elif not OWN_WORDS.match(rest.replace("<", "").replace(">", "")):
            self.fault(where, f"text outside a code span that may be formatted: {rest!r}")
