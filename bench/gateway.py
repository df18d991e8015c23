#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What does the gateway cost beside nginx? bench/gateway builds what this needs and calls it.

docker-registry is asked directly, through nginx and through Harbinger, by turns: the order changes from round to round and
medians are compared. Blobs go over raw sockets, so that the clients cost little; CPU is that of the proxy's processes alone.
"""
import argparse
import base64
import hashlib
import http.client
import json
import os
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from measure_peers import answers, free_port
from measure_report import replace_block
from measure_server import Histogram, PASSWORD, Server
from measure_tools import Tools, WITH_US, cpu_s, make_pki, memory_mib, percentile, say, wait_until

MIB = 1024 * 1024
NAME = "bench/app"
OCI = "application/vnd.oci.image.manifest.v1+json"
SIDES = ("direct", "nginx", "harbinger")
BLOCK = os.urandom(MIB)
RSS_BAR_MIB, SPEED_BAR, CPU_BAR, GET_BAR_MS, COMMITS, PUT_BAR_MS = 64, 0.9, 1.5, 0.3, 2, 1.0


class Process:
    """One that is asked at a port of its own."""

    def __init__(self, folder, name, command, port):
        self.port = port
        with open(f"{folder}/{name}.log", "wb") as log:
            self.process = subprocess.Popen([*WITH_US, *command], stdout=log, stderr=log)
        wait_until(lambda: answers(port), name, 30)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def start_registry(folder):
    port = free_port()
    config = {"version": 0.1, "log": {"level": "error", "accesslog": {"disabled": True}},
              "storage": {"filesystem": {"rootdirectory": f"{folder}/storage", "maxthreads": 1000},
                          "delete": {"enabled": True}},
              "http": {"addr": f"127.0.0.1:{port}"}}
    with open(f"{folder}/registry.yml", "w", encoding="ascii") as file:
        json.dump(config, file)  # JSON is YAML
    return Process(folder, "registry", ["docker-registry", "serve", f"{folder}/registry.yml"], port)


def start_nginx(folder, upstream):
    """As its documentation and the registry's say it is done for images, with connections kept to the registry."""
    port = free_port()
    with open(f"{folder}/nginx.conf", "w", encoding="ascii") as file:
        file.write(f"""daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-1; uwsgi_temp_path {folder}/nginx-2; scgi_temp_path {folder}/nginx-3;
  upstream registry {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 0;
    location / {{
      proxy_pass http://registry;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
      proxy_read_timeout 900s;
    }}
  }}
}}
""")
    nginx = Process(folder, "nginx", ["nginx", "-c", f"{folder}/nginx.conf", "-e", f"{folder}/nginx-error.log"], port)
    with open(f"/proc/{nginx.process.pid}/task/{nginx.process.pid}/children", encoding="ascii") as file:
        nginx.pids = [nginx.process.pid, *map(int, file.read().split())]
    return nginx


class Side:
    """One way to the registry."""

    def __init__(self, name, port, pids, authorization=None):
        self.name, self.port, self.pids = name, port, pids
        self.headers = {"Authorization": authorization} if authorization else {}
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=900)

    def ask(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body=body, headers={**self.headers, **(headers or {})})
        answer = self.connection.getresponse()
        return answer, answer.read()

    def open(self, method, path, headers=()):
        """A raw connection with a request's head on its way."""
        link = socket.create_connection(("127.0.0.1", self.port), 900)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        link.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return link

    def begin_upload(self):
        self.connection.close()
        answer, _ = self.ask("POST", f"/v2/{NAME}/blobs/uploads/")
        if answer.status != 202:
            sys.exit(f"bench: {self.name} began no upload: {answer.status}")
        place = answer.getheader("Location")
        return place[place.index("/v2/"):]

    def upload(self, mebibytes, salt):
        """One blob in one PATCH with its length; its digest is told and checked afterwards, at the registry's cost."""
        place = self.begin_upload()
        digest = hashlib.sha256()
        first = salt.encode().ljust(MIB, b".")
        began = time.monotonic()
        link = self.open("PATCH", place, [f"Content-Length: {mebibytes * MIB}", "Content-Type: application/octet-stream"])
        for number in range(mebibytes):
            link.sendall(BLOCK if number else first)
        head = read_head(link)
        seconds = time.monotonic() - began
        link.close()
        if not head.startswith(b"HTTP/1.1 202"):
            sys.exit(f"bench: {self.name} took no body: {head[:200]}")
        for number in range(mebibytes):
            digest.update(BLOCK if number else first)
        place = header_of(head, "location")
        return seconds, place[place.index("/v2/"):], f"sha256:{digest.hexdigest()}"

    def finish(self, place, digest):
        self.connection.close()  # it may have been idle for longer than it is kept
        answer, words = self.ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}")
        if answer.status != 201:
            sys.exit(f"bench: {self.name} closed no upload: {answer.status} {words}")

    def download(self, digest, buffer):
        began = time.monotonic()
        link = self.open("GET", f"/v2/{NAME}/blobs/{digest}")
        got = 0
        while True:
            taken = link.recv_into(buffer)
            if not taken:
                break
            got += taken
        link.close()
        return time.monotonic() - began, got


def read_head(link):
    head = b""
    while b"\r\n\r\n" not in head:
        more = link.recv(65536)
        if not more:
            break
        head += more
    return head


def header_of(head, name):
    for line in head.decode().split("\r\n"):
        if line.lower().startswith(f"{name}:"):
            return line.split(":", 1)[1].strip()
    return sys.exit(f"bench: an answer without {name}: {head[:300]}")


class Ground:
    def __init__(self, tools, folder):
        self.folder = folder
        os.makedirs(folder)
        self.registry = start_registry(folder)
        self.nginx = start_nginx(folder, self.registry.port)
        self.server = Server(tools, f"{folder}/data", (f"upstream.url=http://127.0.0.1:{self.registry.port}",))
        credentials = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        self.sides = {"direct": Side("direct", self.registry.port, []),
                      "nginx": Side("nginx", self.nginx.port, self.nginx.pids),
                      "harbinger": Side("harbinger", self.server.port, self.server.pids(), f"Basic {credentials}")}

    def stop(self):
        self.server.stop()
        self.nginx.stop()
        self.registry.stop()


def by_turns(rounds):
    for number in range(rounds):
        turn = number % len(SIDES)
        for name in SIDES[turn:] + SIDES[:turn]:
            yield number, name


def measure_blobs(ground, rounds, mebibytes):
    """MiB/s and the proxy's CPU per GiB, both ways."""
    speed = {(way, name): [] for way in ("up", "down") for name in SIDES}
    cpu = {key: [] for key in speed}
    buffer = bytearray(MIB)
    say(f"blobs of {mebibytes} MiB, {rounds} rounds")
    for number, name in by_turns(rounds):
        side = ground.sides[name]
        before = cpu_s(side.pids)
        seconds, place, digest = side.upload(mebibytes, f"{name} {number} {os.getpid()}")
        middle = cpu_s(side.pids)
        side.finish(place, digest)
        side.download(digest, buffer)  # the file's first read is the disk's
        start = cpu_s(side.pids)
        down_s, got = side.download(digest, buffer)
        end = cpu_s(side.pids)
        if got < mebibytes * MIB:
            sys.exit(f"bench: {name} gave {got} bytes of a blob")
        speed["up", name].append(mebibytes / seconds)
        speed["down", name].append(mebibytes / down_s)
        cpu["up", name].append((middle - before) * 1024 / mebibytes)
        cpu["down", name].append((end - start) * 1024 / mebibytes)
        ground.sides["direct"].ask("DELETE", f"/v2/{NAME}/blobs/{digest}")
    median = statistics.median
    figures = {}
    for way in ("up", "down"):
        for name in SIDES:
            figures[f"{way}_{name}_mib_s"] = median(speed[way, name])
            figures[f"{way}_{name}_cpu_s"] = median(cpu[way, name])
        figures[f"{way}_speed"] = median(speed[way, "harbinger"]) / median(speed[way, "nginx"])
        figures[f"{way}_cpu"] = median(cpu[way, "harbinger"]) / max(median(cpu[way, "nginx"]), 1e-9)
    return figures


def measure_layer(ground, mebibytes):
    """One large layer up and down: the greatest RSS that the server ever had."""
    side = ground.sides["harbinger"]
    say(f"a layer of {mebibytes} MiB")
    seconds, place, digest = side.upload(mebibytes, f"layer {os.getpid()}")
    side.finish(place, digest)
    down_s, got = side.download(digest, bytearray(MIB))
    if got < mebibytes * MIB:
        sys.exit(f"bench: {got} bytes of a layer of {mebibytes} MiB came")
    return {"layer_mib": mebibytes, "layer_up_mib_s": mebibytes / seconds, "layer_down_mib_s": mebibytes / down_s,
            "layer_rss_mib": memory_mib(side.pids[0], "VmHWM")}


def measure_streams(ground, count, mebibytes):
    """Many downloads at once, each read a piece at a time in turn with the others."""
    figures = {"streams": count}
    seconds, place, digest = ground.sides["direct"].upload(mebibytes, f"streams {os.getpid()}")
    ground.sides["direct"].finish(place, digest)
    for name in ("nginx", "harbinger"):
        side, buffer = ground.sides[name], bytearray(65536)
        say(f"{count} streams at once through {name}")
        before, began, whole = cpu_s(side.pids), time.monotonic(), 0
        selector, got = selectors.DefaultSelector(), {}
        for _ in range(count):
            link = side.open("GET", f"/v2/{NAME}/blobs/{digest}")
            link.setblocking(False)
            selector.register(link, selectors.EVENT_READ)
            got[link] = 0
        while got:
            for key, _ in selector.select(60) or sys.exit(f"bench: {name} stands still with {len(got)} streams"):
                link = key.fileobj
                taken = link.recv_into(buffer)
                got[link] += taken
                if not taken:
                    whole += got.pop(link) > mebibytes * MIB
                    selector.unregister(link)
                    link.close()
        seconds = time.monotonic() - began
        figures.update({f"streams_{name}_whole": whole, f"streams_{name}_mib_s": count * mebibytes / seconds,
                        f"streams_{name}_cpu_s": (cpu_s(side.pids) - before) * 1024 / (count * mebibytes)})
    figures["streams_rss_mib"] = memory_mib(ground.sides["harbinger"].pids[0], "VmHWM")
    return figures


def make_manifest(ground):
    """What all manifests name; each is another one by its annotation."""
    side, parts = ground.sides["harbinger"], []
    for media_type, data in (("application/vnd.oci.image.config.v1+json", b"{}"),
                             ("application/vnd.oci.image.layer.v1.tar+gzip", b"a layer of few bytes")):
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        place = side.begin_upload()
        answer, words = side.ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", data,
                                 {"Content-Type": "application/octet-stream"})
        if answer.status != 201:
            sys.exit(f"bench: a small blob was answered {answer.status}: {words}")
        parts.append({"mediaType": media_type, "digest": digest, "size": len(data)})
    return {"schemaVersion": 2, "mediaType": OCI, "config": parts[0], "layers": parts[1:]}


def measure_manifests(ground, count):
    """Milliseconds of each PUT of a new manifest under one tag and each GET of it, by turns."""
    manifest = make_manifest(ground)
    put, get = {name: [] for name in SIDES}, {name: [] for name in SIDES}
    before = ground.server.metrics()
    say(f"{count} manifests")
    for number, name in by_turns(count):
        side = ground.sides[name]
        body = json.dumps({**manifest, "annotations": {"n": f"{number} {name}"}}).encode()
        path = f"/v2/{NAME}/manifests/{name}"
        began = time.perf_counter()
        answer, words = side.ask("PUT", path, body, {"Content-Type": OCI})
        put[name].append((time.perf_counter() - began) * 1e3)
        if answer.status != 201:
            sys.exit(f"bench: {name} answered a manifest {answer.status}: {words}")
    after = ground.server.metrics()
    for number, name in by_turns(3 * count):
        side = ground.sides[name]
        began = time.perf_counter()
        answer, _ = side.ask("GET", f"/v2/{NAME}/manifests/{name}", None, {"Accept": OCI})
        get[name].append((time.perf_counter() - began) * 1e3)
        if answer.status != 200:
            sys.exit(f"bench: {name} answered for a manifest {answer.status}")
    figures = {"commit_ms": Histogram(before, after, "harbinger_store_commit_seconds").quantile_ms(0.5)}
    for name in SIDES:
        figures[f"put_{name}_ms"], figures[f"get_{name}_ms"] = percentile(put[name], 0.5), percentile(get[name], 0.5)
    figures["put_added_ms"] = figures["put_harbinger_ms"] - figures["put_direct_ms"]
    figures["put_bar_ms"] = COMMITS * figures["commit_ms"] + PUT_BAR_MS
    figures["get_added_ms"] = figures["get_harbinger_ms"] - figures["get_direct_ms"]
    return figures


def judge(f):
    """(what, figures, bar, met)"""
    rows = []
    for way in ("up", "down"):
        rows.append((f"blob {way}, MiB/s", [f[f"{way}_{name}_mib_s"] for name in SIDES], "{:,.0f}",
                     f"{f[f'{way}_speed']:.2f} of nginx, at least {SPEED_BAR}", f[f"{way}_speed"] >= SPEED_BAR))
        rows.append((f"blob {way}, CPU of the proxy per GiB, s", [None, *(f[f"{way}_{name}_cpu_s"] for name in SIDES[1:])],
                     "{:.2f}", f"{f[f'{way}_cpu']:.2f} of nginx, at most {CPU_BAR}", f[f"{way}_cpu"] <= CPU_BAR))
    rows.append((f"layer of {f['layer_mib']:,} MiB up and down, greatest RSS, MiB", [None, None, f["layer_rss_mib"]], "{:.0f}",
                 f"under {RSS_BAR_MIB}", f["layer_rss_mib"] < RSS_BAR_MIB))
    rows.append((f"{f['streams']} downloads at once, MiB/s", [None, f["streams_nginx_mib_s"], f["streams_harbinger_mib_s"]],
                 "{:,.0f}", f"{f['streams_harbinger_whole']} came whole", f["streams_harbinger_whole"] == f["streams"]))
    rows.append(("PUT of a manifest, p50, ms", [f[f"put_{name}_ms"] for name in SIDES], "{:.2f}",
                 f"{f['put_added_ms']:.2f} more than direct, at most {f['put_bar_ms']:.2f}: two commits and 1 ms",
                 f["put_added_ms"] <= f["put_bar_ms"]))
    rows.append(("GET of a manifest, p50, ms", [f[f"get_{name}_ms"] for name in SIDES], "{:.2f}",
                 f"{f['get_added_ms']:.2f} more than direct, at most {GET_BAR_MS}", f["get_added_ms"] <= GET_BAR_MS))
    return rows


def table(rows):
    lines = ["| | direct | nginx | Harbinger | bar | |", "| --- | ---: | ---: | ---: | --- | --- |"]
    for what, figures, form, bar, met in rows:
        cells = " | ".join("" if figure is None else form.format(figure) for figure in figures)
        lines.append(f"| {what} | {cells} | {bar} | {'met' if met else '**missed**'} |")
    return "\n".join(lines)


def parse():
    parser = argparse.ArgumentParser(prog="bench/gateway", description="Measures what the gateway costs beside nginx.")
    parser.add_argument("--tools", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="small, to see that everything works")
    parser.add_argument("--rounds", type=int, default=9, help="of each blob (default 9)")
    parser.add_argument("--docs", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--json", help="file for the figures (default build-bench/gateway.json)")
    return parser.parse_args()


def main():
    options = parse()
    quick = options.quick
    tools = Tools(os.path.abspath(options.tools), make_pki(os.path.abspath(f"{options.tools}/pki")))
    folder = tempfile.mkdtemp(prefix="gateway-", dir=tools.folder)
    ground = Ground(tools, f"{folder}/ground")
    figures = {"quick": quick}
    figures.update(measure_manifests(ground, 30 if quick else 300))
    figures.update(measure_layer(ground, 256 if quick else 4096))
    figures.update(measure_blobs(ground, 3 if quick else options.rounds, 64 if quick else 512))
    figures.update(measure_streams(ground, 100 if quick else 500, 2 if quick else 8))
    ground.stop()
    shutil.rmtree(folder)
    with open(options.json or f"{tools.folder}/gateway.json", "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=1)
    rows = judge(figures)
    print(table(rows))
    if options.docs:
        note = "A **quick** run, only to show that everything works: its figures mean nothing.\n\n" if quick else ""
        replace_block("docs/performance.md", "gateway", note + table(rows))
    if not all(met for *_, met in rows):
        sys.exit(1)


main()
