# SPDX-License-Identifier: Apache-2.0
"""docs/operating.md and the files beside it say what the program does: each metric, each line of the log that means
trouble, alert rules and a board over metrics that exist."""
import json
import pathlib
import re

import pytest
import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGE = TOP / "docs" / "operating.md"
ALERTS = TOP / "docs" / "operating" / "alerts.yaml"
BOARD = TOP / "docs" / "operating" / "grafana.json"

SERVER = {"settings": {"metrics.open": True, "upstream.url": "http://127.0.0.1:9"}}  # a gateway, for its metrics

# Of PromQL: what is no name of a metric.
WORDS = {"and", "or", "unless", "on", "ignoring", "by", "without", "group_left", "group_right", "bool", "offset", "sum", "rate",
         "increase", "deriv", "histogram_quantile", "max", "min", "avg", "count", "topk", "clamp_min", "time", "le", "inf"}
OF_PROMETHEUS = {"up": {"job", "instance"}}
ALWAYS = {"job", "instance"}  # labels that scraping adds


class Metrics:
    """What /metrics prints: families (name -> (type, help)) and series (name -> list of label dicts)."""

    def __init__(self, text):
        self.types = dict(re.findall(r"(?m)^# TYPE (\S+) (\S+)$", text))
        self.helps = dict(re.findall(r"(?m)^# HELP (\S+) (.*)$", text))
        self.series = {}
        for name, labels in re.findall(r"(?m)^([a-z_]+)(?:\{(.*)\})? \S+$", text):
            self.series.setdefault(name, []).append(dict(re.findall(r'(\w+)="([^"]*)"', labels)))

    def labels(self, family):
        return {label for name in self._parts(family) for series in self.series.get(name, []) for label in series} - {"le"}

    def _parts(self, family):
        return [family] if self.types[family] != "histogram" else [family + "_bucket", family + "_sum", family + "_count"]

    def check_expression(self, expression, where):
        """Each name is a metric, and each selected label and value is one that it has."""
        expression = re.sub(r"\$\w+|\$\{\w+\}", "1", expression)
        for name, selector in re.findall(r"([a-z_]+)\{([^}]*)\}", expression):
            for label, operator, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', selector):
                self._check_label(name, label, operator, value, where)
        bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", expression)
        bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
        names = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", bare)) - WORDS
        assert names, f"{where}: no metric in {expression!r}"
        for name in names:
            assert name in self.series or name in OF_PROMETHEUS, f"{where}: there is no metric {name}"

    def _check_label(self, name, label, operator, value, where):
        if label in ALWAYS or name in OF_PROMETHEUS:
            return
        values = [series.get(label) for series in self.series.get(name, [])]
        assert any(one is not None for one in values), f"{where}: {name} has no label {label}"
        for part in value.split("|") if "~" in operator else [value]:
            assert part in values, f"{where}: {name} has no {label}={part!r}"


@pytest.fixture(scope="module")
def metrics(server):
    status, _, body = server.request("GET", "/metrics")
    assert status == 200
    return Metrics(body.decode("utf-8"))


def rows_of(title):
    """The cells of the table in a chapter."""
    chapter = PAGE.read_text(encoding="utf-8").split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in chapter.split("\n") if line.startswith("|")]
    return rows[2:]


def test_each_metric_is_in_the_page_with_its_labels(metrics):
    documented = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in rows_of("Metrics")}
    assert set(documented) == set(metrics.types), "docs/operating.md and /metrics name other metrics"
    for name, labels in documented.items():
        assert labels == metrics.labels(name), f"labels of {name}"


def test_names_of_metrics_say_their_kind(metrics):
    for name, kind in metrics.types.items():
        assert (kind == "counter") == name.endswith("_total"), f"{name} is a {kind}"
        assert metrics.helps[name]


def test_alert_rules_are_rules_over_metrics_that_exist(metrics):
    document = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    assert set(document) == {"groups"}
    names = []
    for group in document["groups"]:
        assert set(group) == {"name", "rules"}
        for rule in group["rules"]:
            assert {"alert", "expr", "labels", "annotations"} <= set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
            assert rule["labels"]["severity"] in ("page", "ticket") and rule["annotations"]["summary"]
            assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
            assert re.search(r"[<>=]", rule["expr"]) and rule["expr"].count("(") == rule["expr"].count(")")
            metrics.check_expression(rule["expr"], rule["alert"])
            names.append(rule["alert"])
    assert len(names) == len(set(names)) and all(name.startswith("Harbinger") for name in names)


def test_the_board_is_one_that_grafana_imports_over_metrics_that_exist(metrics):
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    assert board["__inputs"] == [{"name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource",
                                  "pluginId": "prometheus", "pluginName": "Prometheus"}]
    assert board["uid"] and board["title"] == "Harbinger" and board["schemaVersion"] >= 36 and board["id"] is None
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len(panels) >= 10 and len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    places = set()
    for panel in panels:
        assert panel["title"] and panel["description"] and panel["targets"]
        place = panel["gridPos"]
        places |= {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
            metrics.check_expression(target["expr"], panel["title"])
    assert len(places) == sum(panel["gridPos"]["w"] * panel["gridPos"]["h"] for panel in panels), "panels lie over another"


@pytest.mark.parametrize("expression, words", [
    ("rate(harbinger_nothing_total[5m]) > 0", "no metric harbinger_nothing_total"),
    ('harbinger_lanes{colour="red"} > 0', "no label colour"),
    ('harbinger_lanes{state="red"} > 0', "no state='red'"),
    ('harbinger_lanes{state=~"ready|red"} > 0', "no state='red'"),
])
def test_a_wrong_expression_is_seen(metrics, expression, words):
    with pytest.raises(AssertionError, match=re.escape(words)):
        metrics.check_expression(expression, "planted")


# -- the log --


def sources():
    """All string literals of src/, joined as the compiler joins them."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((TOP / "src").rglob("*.c")))
    return re.sub(r'"\s*\n\s*"', "", text)


def fixed_parts(line):
    return [part for part in (part.strip() for part in line.split("…")) if len(part) >= 3]


def test_each_line_of_the_log_that_the_page_quotes_is_one_of_ours():
    text = sources()
    literals = [re.sub(r"%(?:\.\*s|l*[du]|zu|s)", "…", one) for one in re.findall(r'"((?:[^"\\]|\\.)*)"', text)]
    rows = rows_of("The log")
    assert len(rows) > 20
    for row in rows:
        line = row[0].strip("`")
        parts = fixed_parts(line)
        assert any(all(part in literal for part in parts) for literal in literals), f"no such line in src/: {line}"
        assert row[1] in ("warn", "error") and row[2] and row[3]


def test_each_error_that_the_program_logs_is_in_the_page():
    quoted = [fixed_parts(row[0].strip("`")) for row in rows_of("The log")]
    logged = re.findall(r'log_error\([^;"]*"\w+",\s*"((?:[^"\\]|\\.)*)"', sources())
    assert len(logged) >= 10
    for line in logged:
        line = re.sub(r"%(?:\.\*s|l*[du]|zu|s)", "…", line)
        assert any(all(part in line for part in parts) for parts in quoted), f"docs/operating.md does not tell of: {line}"


def test_settings_that_the_page_names_exist(server):
    known = (TOP / "docs" / "configuration.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:api|auth|breaker|delivery|dispatch|egress|ingest|limits|log|metrics|retention|server|store|"
                           r"tls|upstream)\.[a-z_]+)(?:=[a-z]+)?`", PAGE.read_text(encoding="utf-8")))
    assert len(named) > 10
    assert [name for name in sorted(named) if f"| `{name}` |" not in known] == []
