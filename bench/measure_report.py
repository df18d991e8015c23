# SPDX-License-Identifier: Apache-2.0
"""The figures as tables in Markdown."""

SYSTEMS = [
    ("raw_http", "*the limit:* raw client, no store, HTTP"), ("raw_https", "*the limit:* raw client, no store, HTTPS"),
    ("harbinger_http", "Harbinger, HTTP"), ("harbinger_https", "Harbinger, HTTPS"), ("bullmq_http", "BullMQ, HTTP"),
    ("bullmq_https", "BullMQ, HTTPS"), ("registry_http", "docker-registry, HTTP"),
    ("registry_https", "docker-registry, HTTPS"),
]
COLUMNS = [("flow", "deliveries/s while ingesting"), ("drain", "deliveries/s from a backlog"),
           ("cpu", "CPU per delivery (us)"), ("p50", "due to receiver at 100/s, p50 (ms)"), ("p99", "p99 (ms)")]
MORE = [
    ("disk_1k_rate", "raw log: appends of 1 KiB + fdatasync (/s)"),
    ("disk_1k_p50", "the same, one of them, p50 (ms)"),
    ("disk_paced_p50", "the same at 100/s, p50 (ms)"),
    ("disk_paced_p99", "the same at 100/s, p99 (ms)"),
    ("disk_32k_rate", "raw log: appends of 32 KiB + fdatasync (/s)"),
    ("raw_resumed_cpu", "raw client: a new TLS connection, resumed, and a request (us of CPU)"),
    ("ingest_alone", "Harbinger: durable ingest alone (events/s)"),
    ("ingest_alone_p99", "its answer, 32 at once, p99 (ms)"),
    ("harbinger_http_ingest", "Harbinger: durable ingest while delivering (events/s)"),
    ("harbinger_http_ack_p50", "Harbinger: acknowledgement at 100/s, p50 (ms)"),
    ("harbinger_http_ack_p99", "Harbinger: acknowledgement at 100/s, p99 (ms)"),
    ("harbinger_http_ack_rush", "the same against one append of 1 KiB + fdatasync after the other, p50 (x)"),
    ("disk_paced_rush", "the bare append at 100/s, p99, against that (x)"),
    ("bullmq_http_ack_p99", "BullMQ: acknowledgement at 100/s, p99 (ms)"),
    ("harbinger_http_commit_p50", "Harbinger: commit to receiver at 100/s, p50 (ms)"),
    ("harbinger_http_commit_p99", "Harbinger: commit to receiver at 100/s, p99 (ms)"),
    ("harbinger_http_twice", "Harbinger: delivered more than once"),
    ("resumed_share", "Harbinger: share of new TLS connections that were resumed"),
    ("rss_waiting", "Harbinger: RSS with one round's events waiting (MiB)"),
    ("bullmq_http_rss", "BullMQ: RSS, node and Redis (MiB)"),
    ("registry_http_rss", "docker-registry: RSS (MiB)"),
    ("backlog_ingest", "building the backlog (events/s)"),
    ("recovery_rate", "delivering the backlog after the outage (/s)"),
    ("idle_p99", "due to receiver, targets without backlog, before the outage, p99 (ms)"),
    ("recovery_new_p99", "the same during the recovery, p99 (ms)"),
    ("recovery_ack_p99", "acknowledgement during the recovery, p99 (ms)"),
    ("recovery_owing_p99", "new events behind their own target's backlog, p99 (ms)"),
    ("history_empty_cpu", "CPU per delivery, empty store (us)"),
    ("history_cpu", "CPU per delivery, with the history (us)"),
    ("history_rss", "RSS with the history (MiB)"),
    ("calm_p50", "commit without trimming, p50 (ms)"),
    ("calm_p999", "commit without trimming, p99.9 (ms)"),
    ("trim_p999", "commit while trimming, p99.9 (ms)"),
    ("calm_checkpoint_p99", "checkpoint without trimming, p99 (ms)"),
    ("trim_checkpoint_p99", "checkpoint while trimming, p99 (ms)"),
    ("trim_swept", "rows trimmed meanwhile"),
    ("sweep_over", "housekeeping transactions over 5 ms"),
]


def replace_block(path, name, text):
    """Puts `text` between the marks <!-- NAME --> and <!-- end of NAME --> of a page."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    with open(path, encoding="utf-8") as file:
        before, rest = file.read().split(begin)
    after = rest.split(end)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{begin}\n{text}\n\n{end}{after}")


def number(value):
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(figure):
    if figure["n"] == 1:
        return number(figure["median"])
    return f"{number(figure['median'])} ({number(figure['least'])} to {number(figure['greatest'])})"


def side_by_side(figures):
    base = figures.get("harbinger_http_flow", {}).get("median")
    lines = ["| | " + " | ".join(label for _, label in COLUMNS) + " | Harbinger is |",
             "| --- |" + " ---: |" * (len(COLUMNS) + 1)]
    for key, label in SYSTEMS:
        if f"{key}_flow" not in figures:
            continue
        cells = [cell(figures[f"{key}_{column}"]) if f"{key}_{column}" in figures else "" for column, _ in COLUMNS]
        own = figures.get(f"harbinger_{key.rsplit('_', 1)[1]}_flow", {}).get("median", base)
        ratio = f"{number(own / figures[f'{key}_flow']['median'])}x" if own else ""
        lines.append(f"| {label} | {' | '.join(cells)} | {ratio} |")
    return lines


def bars(rows):
    lines = ["| figure | bar | measured | |", "| --- | ---: | ---: | --- |"]
    for row in rows:
        sign = ">=" if row["at_least"] else "<="
        lines.append(f"| {row['figure']} ({row['unit']}) | {sign} {number(row['bar'])} | {number(row['value'])} | "
                     f"{'met' if row['met'] else '**missed**'} |")
    return lines


def more(figures):
    lines = ["| figure | median (least to greatest) |", "| --- | ---: |"]
    return lines + [f"| {label} | {cell(figures[name])} |" for name, label in MORE if name in figures]


def peers(rows):
    lines = ["| peer | must do at least | did | |", "| --- | ---: | ---: | --- |"]
    words = {True: "as it can", False: "**below**", None: "not judged: too short a run"}
    return lines + [f"| {row['peer']} (/s) | {number(row['expected'])} | {number(row['value'])} | {words[row['well']]} |"
                    for row in rows]


def whole(result):
    host = result["machine"]
    text = ["A **quick** run, only to show that everything works: its figures mean nothing.\n"] if result["quick"] else []
    text += [f"{host['processor']}, {host['cores']} cores, {host['memory_mib']} MiB, Linux {host['kernel']}, Harbinger "
             f"{host['harbinger']}; {result['rounds']} rounds of {result['sizes']['events']} events in "
             f"{result['seconds']:.0f} s; load average before {host['load_before']:.1f}; the raw client costs "
             f"{result['scale']:.2f} times what it did where the bars were set."]
    for title, lines in (("Side by side", side_by_side(result["figures"])), ("Bars", bars(result["bars"])),
                         ("More", more(result["figures"])), ("Are the peers well", peers(result["peers"]))):
        if len(lines) > 2:
            text += ["", f"{title}:", "", *lines]
    ill = [row["peer"] for row in result["peers"] if row["well"] is False]
    if ill:
        text += ["", f"**Invalid:** {'; '.join(ill)}: below what was measured before, scaled by this run's raw client. "
                 "Something else ran, or the peer is set up worse than it can be."]
    return "\n".join(text)
