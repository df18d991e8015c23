# SPDX-License-Identifier: Apache-2.0
"""`harbinger serve` as an operator meets it: settings, start, health, metrics, logs, stop, passwords."""
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import threading

import pytest

from support.receiver import Answer
from support.registry import envelope, notification
from support.secrets import secret
from support.server import ADMIN_PASSWORD, basic, binary
from support.waiting import BOUND_S, wait_until

TOP = pathlib.Path(__file__).resolve().parents[2]
CONFIGURATION = TOP / "docs" / "configuration.md"
DRAIN_PROMISE_S = 10.0
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warn|error) [a-z]+( \[[^\]]+\])?: .+")


def run(*arguments, env=None, stdin="", cwd=None):
    """(exit code, standard output, standard error) of `harbinger ARGUMENTS`, without our variables but `env`."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HARBINGER_")}
    done = subprocess.run([binary(), *arguments], input=stdin, env={**clean, **(env or {})}, cwd=cwd, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=BOUND_S, check=False)
    return done.returncode, done.stdout, done.stderr


def says(server, words):
    """The first line of the server's log with these words; waits for it."""
    return wait_until(lambda: next((line for line in server.log().splitlines() if words in line), None),
                      f"`{words}` in the log")


# -- help and settings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["help"], ["-h"]])
def test_help_names_the_commands(arguments):
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith("usage: harbinger")
    for command in ("serve", "user passwd", "settings", "login URL", "webhook ls", "listen"):
        assert command in out


@pytest.mark.parametrize("command", [["serve"], ["user", "passwd"]])
def test_help_of_a_command_has_examples(command):
    code, out, err = run(*command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: harbinger {' '.join(command)}") and "examples:\n" in out


@pytest.mark.parametrize("arguments", [[], ["nonsense"]])
def test_without_a_command_the_usage_comes_and_the_exit_code_is_2(arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "usage: harbinger" in err and ("nonsense" in err) == bool(arguments)


def settings_table():
    code, out, err = run("settings")
    assert (code, err) == (0, "")
    return out


def rows(table):
    """Key -> (variable, type, default) of a table of settings."""
    found = {}
    for line in table.splitlines()[2:]:
        cells = [cell.strip().strip("`") for cell in line.strip("|").split(" | ")]
        found[cells[0].strip()] = tuple(cells[1:4])
    return found


def test_the_document_of_settings_is_what_the_program_says():
    text = CONFIGURATION.read_text(encoding="utf-8")
    assert settings_table() in text, "docs/configuration.md: replace its table by the output of `harbinger settings`"


def test_every_setting_has_variable_type_unit_and_meaning():
    table = settings_table()
    found = rows(table)
    assert len(found) > 50
    for key, (variable, kind, _) in found.items():
        assert variable == "HARBINGER_" + key.upper().replace(".", "_")
        assert kind in ("text", "integer", "boolean", "list", "mapping")
    for line in table.splitlines()[2:]:
        cells = line.strip("| ").split(" | ")
        assert cells[-1].strip(), line
        if " integer " in line:
            assert cells[-2].strip(), f"no unit: {line}"


def test_the_example_of_the_document_is_taken(tmp_path, new_server):
    text = CONFIGURATION.read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL).group(1)
    assert len(example.splitlines()) > 10
    # What a test cannot have: a certificate, and a registry that answers.
    example = re.sub(r"(?m)^  (cert_file|key_file|ca_file):.*\n", "", example).replace("\ntls:\n", "\n")
    path = tmp_path / "harbinger.yaml"
    path.write_text(example, encoding="utf-8")
    server = new_server(arguments=["--config", str(path)])
    assert server.request("GET", "/healthz")[0] == 200


def written(folder, text):
    path = folder / "harbinger.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("text, line, words", [
    ("log:\n  level: info\n  colour: blue\n", 3, "log.colour"),
    ("nonsense: 1\n", 1, "nonsense"),
    ("data: ./data\ndelivery:\n  concurrency: many\n", 3, "whole number"),
    ("delivery:\n  concurrency: 0\n", 2, "between 1 and 64"),
    ("metrics:\n  open: perhaps\n", 2, "true or false"),
    ("retry:\n  schedule_ms: [1, 2]\n  give_up_ms: [1]\n", 3, "not a list"),
    ("log:\n  level: info\n level: warn\n", 3, ""),
    ("log: {level: info\n", 2, ""),
    ("a: &x 1\nb: *x\n", 1, ""),
    ("'':\n  log.level: info\n", 1, "a key is empty"),
    ('"log.level\\0x": info\n', 1, "a zero byte"),
    ("log.level: info\n---\nlog.level: warn\n", 2, "a second document"),
])
def test_a_setting_that_is_unknown_or_ill_typed_is_refused_with_file_and_line(tmp_path, text, line, words):
    path = written(tmp_path, text)
    code, out, err = run("serve", "--config", path, "--data", str(tmp_path / "data"))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and f"{path}:{line}: " in err and words in err
    assert not (tmp_path / "data").exists()


def test_a_bad_file_is_named(tmp_path):
    code, _, err = run("serve", "--config", str(tmp_path / "nowhere.yaml"))
    assert code != 0 and "nowhere.yaml" in err and err.count("\n") == 1


@pytest.mark.parametrize("variable, value, words", [
    ("HARBINGER_DELIVERY_CONCURRENCY", "many", "whole number"), ("HARBINGER_METRICS_OPEN", "yes", "true or false"),
    ("HARBINGER_LISTEN", "here", "ADDRESS:PORT"), ("HARBINGER_LOG_LEVEL", "loud", "debug, info, warn or error"),
    ("HARBINGER_RETRY_SCHEDULE_MS", "1,soon", "soon"), ("HARBINGER_RESOLVER_SERVERS", "nobody", "nobody"),
    ("HARBINGER_TLS_CA_FILE", "/nowhere.pem", "/nowhere.pem"), ("HARBINGER_EXTERNAL_URL", "x", "external_url"),
])
def test_a_bad_value_in_the_environment_is_refused_with_words(tmp_path, variable, value, words):
    code, _, err = run("serve", "--data", str(tmp_path / "data"),
                       env={"HARBINGER_LISTEN": "127.0.0.1:0", variable: value})
    assert code != 0
    last = err.splitlines()[-1]
    assert last.startswith("harbinger serve: ") and words in last


@pytest.mark.parametrize("arguments, words", [(["--set", "nonsense=1"], "nonsense"), (["--set", "log.level"], "KEY=VALUE"),
                                              (["extra"], "extra"), (["--set", "delivery.concurrency=x"], "whole number")])
def test_a_bad_option_is_refused_with_words(tmp_path, arguments, words):
    code, _, err = run("serve", "--data", str(tmp_path / "data"), *arguments)
    assert code == 2 and words in err


def test_command_line_over_environment_over_file(tmp_path, new_server, api_of):
    path = written(tmp_path, "harbor_api: {version: from-file}\nlog: {level: info}\nmetrics: {open: true}\n")
    server = new_server(arguments=["--config", path])
    assert api_of(server).get("/systeminfo").json["harbor_version"] == "from-file"
    assert server.request("GET", "/metrics")[0] == 200
    env = {"HARBINGER_HARBOR_API_VERSION": "from-environment"}
    assert api_of(new_server(arguments=["--config", path], env=env)).get("/systeminfo").json["harbor_version"] == \
        "from-environment"
    both = new_server(arguments=["--config", path], env=env, settings={"harbor_api.version": "from-command-line"})
    assert api_of(both).get("/systeminfo").json["harbor_version"] == "from-command-line"


def test_an_unknown_variable_is_named_and_passed_by(new_server):
    server = new_server(env={"HARBINGER_SERVICE_PORT_HTTP": "80", "HARBINGER_URL": "http://elsewhere"})
    line = says(server, "HARBINGER_SERVICE_PORT_HTTP")
    assert " warn " in line and "HARBINGER_URL" not in line


def test_a_list_of_a_later_source_replaces_the_earlier_one(tmp_path, new_server, api_of, receiver):
    """Else the tests' own short schedule would begin with the default's five seconds."""
    path = written(tmp_path, "retry: {schedule_ms: [3600000]}\n")
    api = api_of(new_server(arguments=["--config", path]))
    api.project("listed")
    api.webhook("listed", receiver.url)
    receiver.answers(Answer(500), Answer(500))
    api.submit("listed")
    assert len(receiver.take(3)) == 3


# -- start ------------------------------------------------------------------------------------------------------------


def test_port_0_takes_a_free_one_and_the_ready_line_names_it(server):
    ready = [line for line in server.lines if line.startswith("harbinger ready ")]
    assert len(ready) == 1 and re.fullmatch(r"harbinger ready http://127\.0\.0\.1:[1-9]\d*", ready[0])
    assert server.request("GET", "/healthz")[0] == 200


def test_it_listens_on_ipv6_too(new_server):
    server = new_server(listen="[::1]:0")
    assert server.url.startswith("http://[::1]:")
    assert server.request("GET", "/healthz")[0] == 200


def test_a_foreign_process_on_the_port_gives_one_sentence(new_server):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        code, words = new_server(start=False, listen=f"127.0.0.1:{port}").refusal()
    sentences = [line for line in words.splitlines() if line.startswith("harbinger serve: ")]
    assert code != 0 and len(sentences) == 1 and words.splitlines()[-1] == sentences[0]
    assert str(port) in sentences[0] and "in use" in sentences[0] and "--listen" in sentences[0]


def test_the_data_directory_is_its_owners_alone(server):
    assert server.data.stat().st_mode & 0o777 == 0o700
    for path in server.data.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_data_directory_that_cannot_be_made_is_said(tmp_path, new_server):
    (tmp_path / "file").write_text("", encoding="utf-8")
    server = new_server(start=False)
    server.data = tmp_path / "file" / "data"
    code, words = server.refusal()
    assert code != 0 and words.count("\n") == 1 and str(server.data) in words


def test_the_outcome_of_raising_the_descriptor_limit_is_said(new_server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 300 if soft >= 300 else 256
    assert " descriptors" in says(new_server(settings={"limits.descriptors": wanted}), "descriptors")
    if hard == resource.RLIM_INFINITY or hard >= 1048576:
        return
    line = says(new_server(settings={"limits.descriptors": 1048576}), "limits.descriptors")
    # A process with the right to raise the hard limit does; another says what it got.
    assert " warn " in line and str(hard) in line


def test_descriptors_are_raised_from_a_low_soft_limit(new_server):
    server = new_server(start=False, settings={"limits.descriptors": 2000})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "up to 2000 descriptors" in says(server, "descriptors")
    assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[0] == 2000


# -- the first user ---------------------------------------------------------------------------------------------------


def login(server, password, name="admin"):
    return server.request("GET", "/api/v2.0/users/current", headers={"Authorization": basic(name, password)})[0]


def test_the_first_password_comes_from_the_environment(server):
    assert login(server, ADMIN_PASSWORD) == 200 and login(server, ADMIN_PASSWORD + "x") == 401
    assert not [line for line in server.lines if "password" in line]


def test_without_one_a_random_password_is_shown_once(new_server):
    server = new_server(env={"HARBINGER_ADMIN_PASSWORD": ""})
    shown = [line for line in server.lines if "password" in line]
    assert len(shown) == 1 and server.lines.index(shown[0]) < len(server.lines) - 1
    password = re.match(r"harbinger admin password: (\S+) \(shown once", shown[0]).group(1)
    assert len(password) >= 20 and login(server, password) == 200
    assert password not in server.log()
    for path in server.data.rglob("*"):
        assert not path.is_file() or password.encode() not in path.read_bytes(), path
    server.stop()
    server.lines.clear()
    server.start()
    assert not [line for line in server.lines if "password" in line]
    assert login(server, password) == 200


def test_a_later_password_in_the_environment_changes_nothing(new_server):
    server = new_server()
    server.stop()
    server.env = {"HARBINGER_ADMIN_PASSWORD": "Another-12345"}
    server.start()
    assert login(server, ADMIN_PASSWORD) == 200 and login(server, "Another-12345") == 401


def test_a_weak_first_password_is_refused(new_server):
    code, words = new_server(start=False, env={"HARBINGER_ADMIN_PASSWORD": "short"}).refusal()
    assert code != 0 and "admin.password" in words and "short" not in words.replace("shorter", "")


@pytest.mark.parametrize("running", [True, False])
def test_user_passwd_resets_a_password_with_the_server_running_and_stopped(new_server, running):
    server = new_server()
    assert login(server, ADMIN_PASSWORD) == 200  # remembered by the server for a minute
    if not running:
        server.stop()
    code, out, err = run("user", "passwd", "admin", "--data", str(server.data), "--password-stdin",
                         stdin="Brand-New-12345\nsecond line\n")
    assert (code, out, err) == (0, "", "")
    if not running:
        server.start()
    assert login(server, ADMIN_PASSWORD) == 401 and login(server, "Brand-New-12345") == 200


def test_user_passwd_without_a_terminal_makes_one_and_prints_it(new_server):
    server = new_server()
    code, out, err = run("user", "passwd", "admin", "--data", str(server.data))
    assert (code, err) == (0, "") and len(out.strip()) >= 20 and out.count("\n") == 1
    assert login(server, out.strip()) == 200 and login(server, ADMIN_PASSWORD) == 401


def test_user_passwd_says_what_is_wrong(server, tmp_path):
    data = str(server.data)
    code, out, err = run("user", "passwd", "nobody", "--data", data)
    assert code != 0 and out == "" and "nobody" in err
    code, out, err = run("user", "passwd", "admin", "--data", data, "--password-stdin", stdin="short\n")
    assert code != 0 and out == "" and err.count("\n") == 1
    code, out, err = run("user", "passwd", "admin", "--data", str(tmp_path / "none"))
    assert code != 0 and "none" in err and "--data" in err
    code, out, err = run("user", "passwd", "--data", data)
    assert code != 0 and "--help" in err
    assert login(server, ADMIN_PASSWORD) == 200


def test_passwd_is_audited(new_server, api_of):
    server = new_server()
    run("user", "passwd", "admin", "--data", str(server.data), "--password-stdin", stdin="Brand-New-12345\n")
    api = api_of(server, basic("admin", "Brand-New-12345"))
    entry = next(one for one in api.get("/harbinger/audit").json if one["kind"] == "user")
    assert (entry["operation"], entry["subject"]) == ("password", "admin")


# -- health and metrics -----------------------------------------------------------------------------------------------


ADMIN = {"Authorization": basic("admin", ADMIN_PASSWORD)}


def test_health_and_readiness_are_open_and_only_read(server):
    for path, body in (("/healthz", b"ok\n"), ("/readyz", b"ready\n")):
        status, headers, got = server.request("GET", path)
        assert (status, got) == (200, body) and headers["content-type"].startswith("text/plain")
        assert server.request("HEAD", path)[0] == 200
        assert server.request("POST", path)[0] == 405
        # Wrong credentials are no reason to call a server ill.
        assert server.request("GET", path, headers={"Authorization": basic("admin", "wrong")})[0] == 200


def own_address():
    """An address of this machine that is not loopback; no packet is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else address


class BrokenStore:
    """While it lasts, the server cannot write a byte to a file: a full disk, as far as it can tell."""

    def __init__(self, server):
        self.server = server
        self.before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)

    def __enter__(self):
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (1, self.before[1]))

    def __exit__(self, *_):
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, self.before)


def readiness(server, headers=None):
    status, _, body = server.request("GET", "/readyz", headers=headers)
    return status, body.decode()


def test_a_store_that_cannot_be_written_is_not_ready_and_comes_back(new_server, api_of, receiver):
    server = new_server(listen="0.0.0.0:0")
    server.host = "127.0.0.1"
    server.url = f"http://127.0.0.1:{server.port}"
    api = api_of(server)
    api.project("broken")
    api.webhook("broken", receiver.url)
    push = envelope(notification(repository="broken/app", tag="v1"))
    with BrokenStore(server):
        status, headers, _ = server.ingest(push)
        assert status == 503
        wait_until(lambda: readiness(server)[0] == 503, "it is not ready")
        assert server.request("GET", "/healthz")[0] == 200  # it lives, and says what it cannot do
        status, words = readiness(server)  # from loopback: the reason
        assert words.startswith("not ready: ") and len(words) > len("not ready: \n")
        assert server.ingest(push)[0] == 503
        assert server.request("GET", "/api/v2.0/projects", headers=ADMIN)[0] == 200
        check_reason_from_elsewhere(server)
    wait_until(lambda: readiness(server) == (200, "ready\n"), "it is ready again")
    assert server.ingest(push)[0] == 200
    assert receiver.next().json["event_data"]["resources"][0]["tag"] == "v1"
    assert len(receiver.requests) == 1


def check_reason_from_elsewhere(server):
    """The reason is for administrators there, and for nobody else."""
    address = own_address()
    if address is None:
        return  # a machine without a network: test_where_the_reason_is_shown says so
    server.host = address
    try:
        assert readiness(server) == (503, "not ready\n")
        assert readiness(server, {"Authorization": basic("admin", "wrong")}) == (503, "not ready\n")
        assert readiness(server, ADMIN)[1].startswith("not ready: ")
    finally:
        server.host = "127.0.0.1"


def test_where_the_reason_is_shown():
    if own_address() is None:
        pytest.skip("this machine has no address but loopback: the reason of /readyz was looked at from there only")


@pytest.mark.parametrize("headers, status", [({}, 401), ({"Authorization": basic("admin", "wrong")}, 401),
                                             ({"Authorization": "Bearer wrong-metrics-token"}, 401),
                                             ({"Authorization": "Bearer metrics-token-of-the-tests"}, 200), (ADMIN, 200)])
def test_metrics_are_for_administrators_and_their_token(new_server, headers, status):
    server = new_server(settings={"metrics.token": "metrics-token-of-the-tests"})
    got, answer_headers, body = server.request("GET", "/metrics", headers=headers)
    assert got == status
    assert (b"harbinger_events_total" in body) == (status == 200)
    if status == 200:
        assert answer_headers["content-type"].startswith("text/plain; version=0.0.4")


def test_metrics_can_be_opened(new_server):
    server = new_server(settings={"metrics.open": True})
    assert server.request("GET", "/metrics")[0] == 200


def samples(server):
    """Series with labels -> value; fails on a line that is no Prometheus text."""
    text = server.request("GET", "/metrics", headers=ADMIN)[2].decode()
    found, typed = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            assert line.split()[3] in ("counter", "gauge", "histogram")
            typed.add(line.split()[2])
        elif not line.startswith("# HELP ") and line:
            match = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-z_]+="[^"\\]*"(,[a-z_]+="[^"\\]*")*\})? (\S+)', line)
            assert match, line
            assert re.sub(r"_(bucket|sum|count)$", "", match.group(1)) in typed or match.group(1) in typed, line
            series = match.group(1) + (match.group(2) or "")
            assert series not in found, f"{series} stands there twice"
            found[series] = float(match.group(4))
    return found


def test_metrics_count_what_happened(new_server, api_of, receiver):
    server = new_server()
    api = api_of(server)
    api.project("counted")
    receiver.answers(Answer(500), *[Answer(400)] * 3)
    policy = api.webhook("counted", receiver.url)
    # One at a time: the first is tried twice and arrives, the second fails for good, the third arrives.
    server.ingest(envelope(notification(repository="counted/app", tag="v1")))
    api.execution_ended("counted", policy, 1)
    count = 1
    receiver.answers(*[Answer(400)] * 3)
    for _ in range(2):
        count += 1
        api.submit("counted")
        api.execution_ended("counted", policy, count)
    ended = sorted(one["status"] for one in api.executions("counted", policy))
    found = wait_until(lambda: (lambda seen: seen if seen["harbinger_store_commit_seconds_count"] >= 6 else None)
                       (samples(server)), "the commits are counted")
    assert found['harbinger_deliveries_total{outcome="succeeded"}'] == ended.count("Success")
    assert found['harbinger_deliveries_total{outcome="failed"}'] == ended.count("Error")
    assert sum(value for series, value in found.items() if series.startswith("harbinger_attempts_total{")) == \
        len(receiver.requests) == found["harbinger_attempt_seconds_count"]
    assert found['harbinger_events_total{type="PUSH_ARTIFACT",source="distribution"}'] == 1
    assert found['harbinger_events_total{type="PUSH_ARTIFACT",source="api"}'] == 2
    assert found["harbinger_deliveries_waiting"] == 0 and found["harbinger_deliveries_oldest_age_seconds"] == 0
    assert found["harbinger_store_batch_items_count"] == found["harbinger_store_commit_seconds_count"]
    assert found['harbinger_http_requests_total{path="ingest",class="2xx"}'] == 1


def test_metrics_show_what_waits_and_the_process(new_server, api_of, receiver):
    server = new_server()
    api = api_of(server)
    api.project("waiting")
    never = threading.Event()
    receiver.always(Answer(hold=never))
    api.webhook("waiting", receiver.url)
    for _ in range(5):
        api.submit("waiting")
    receiver.next()
    found = samples(server)
    assert found["harbinger_deliveries_waiting"] == 5 and found["harbinger_deliveries_running"] >= 1
    assert found["process_resident_memory_bytes"] > 1000000
    assert found["process_cpu_seconds_total"] >= 0
    assert 10 < found["process_open_fds"] < found["process_max_fds"]
    assert found["process_start_time_seconds"] > 1700000000


def test_the_number_of_series_does_not_grow_with_projects_targets_or_clients(new_server, api_of, receiver):
    server = new_server()
    before = len(samples(server))
    api = api_of(server)
    for number in range(20):
        api.project(f"many-{number}")
        api.webhook(f"many-{number}", f"{receiver.url}/{number}")
        api.submit(f"many-{number}")
        server.request("GET", f"/no/such/path/{number}", headers={"User-Agent": f"client-{number}"})
    receiver.take(20)
    assert len(samples(server)) == before


# -- logs -------------------------------------------------------------------------------------------------------------


def test_plain_log_lines_have_time_level_room_and_request_id(server):
    server.request("GET", "/api/v2.0/ping", headers={"X-Request-Id": "test-of-the-log-1"})
    line = says(server, "test-of-the-log-1")
    assert re.search(r" debug http \[test-of-the-log-1\]: GET /api/v2\.0/ping from 127\.0\.0\.1:\d+: 200 ", line)
    for one in server.log().splitlines():
        assert LOG_LINE.fullmatch(one), one


def test_json_log_lines_are_objects(new_server):
    server = new_server(settings={"log.format": "json"})
    server.request("GET", "/api/v2.0/ping", headers={"X-Request-Id": "test-of-the-log-2"})
    line = json.loads(says(server, "test-of-the-log-2"))
    assert line["request_id"] == "test-of-the-log-2" and line["level"] == "debug" and line["room"] == "http"
    for one in server.log().splitlines():
        parsed = json.loads(one)
        assert {"time", "level", "room", "message"} <= set(parsed), one


def test_an_insane_request_id_is_not_taken_over(server):
    sent = "x" * 129
    _, headers, _ = server.request("GET", "/api/v2.0/ping", headers={"X-Request-Id": sent})
    assert re.fullmatch(r"[0-9a-f-]{36}", headers["x-request-id"])


def test_a_name_cannot_write_a_log_line_of_its_own(server):
    with server.socket() as plain:
        plain.sendall(b"GET /forged%0Aline HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while plain.recv(4096):
            pass
    assert "/forged%0Aline" in says(server, "forged")
    assert not [line for line in server.log().splitlines() if line.startswith("line")]


def test_the_level_holds_and_can_be_changed_while_it_runs(new_server, api_of):
    server = new_server(settings={"log.level": "warn"})
    api = api_of(server)
    api.get("/ping")
    assert server.log() == ""
    api.put("/harbinger/log-level", {"level": "debug"})
    api.get("/ping", headers={"X-Request-Id": "now-at-debug"})
    assert " debug http [now-at-debug]" in says(server, "now-at-debug")
    api.put("/harbinger/log-level", {"level": "error"})
    size = len(server.log())
    api.get("/ping", headers={"X-Request-Id": "now-at-error"})
    assert api.put("/harbinger/log-level", {"level": "loud"}, expect=400).message
    assert "now-at-error" not in server.log()[size:]


def test_secrets_do_not_reach_the_log(new_server, api_of, receiver):
    server = new_server()
    api = api_of(server)
    api.project("secret")
    receiver.answers(Answer(400, body=b"no"), Answer(reset=True))
    password, path, key, header = (secret(name) for name in ("password", "path", "key", "header"))
    policy = api.webhook("secret", f"{receiver.url.replace('http://', f'http://user:{password}@')}/services/{path}?key={key}",
                         auth_header=f"Bearer {header}")
    api.submit("secret")
    api.execution_ended("secret", policy)
    log = server.log()
    assert "delivery" in log
    for value in (password, path, key, header, ADMIN_PASSWORD, "ingest-token-of-the-tests"):
        assert value not in log


# -- stop and reload --------------------------------------------------------------------------------------------------


def state_of(api, project, policy):
    return [(one["state"], one["attempts"]) for one in
            api.get(f"/projects/{project}/webhook/policies/{policy}/deliveries").json]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_waits_for_the_delivery_that_is_on_its_way(new_server, api_of, receiver, how):
    server = new_server()
    api = api_of(server)
    api.project("drained")
    release = threading.Event()
    receiver.always(Answer(hold=release))
    policy = api.webhook("drained", receiver.url)
    for _ in range(3):
        api.submit("drained")
    receiver.next()
    server.process.send_signal(how)
    says(server, "stopping on signal")
    with pytest.raises(OSError):
        wait_until(lambda: server.socket(timeout=1).close(), "no new client is taken")
    release.set()
    server.stop(how=signal.SIGCONT)  # it ends by itself: no second signal is needed
    assert len(receiver.requests) == 1
    receiver.always(Answer(200))
    server.start()
    receiver.take(2)
    assert {one["status"] for one in api.execution_ended("drained", policy, 3)} == {"Success"}
    assert len(receiver.requests) == 3  # the one that was waited for was recorded, and is not sent again


def test_a_stop_does_not_wait_for_ever_and_loses_nothing(new_server, api_of, receiver):
    """A receiver that never answers: within the promise the server ends, in good order, and sends it again later."""
    drain_ms = 300
    server = new_server(settings={"limits.drain_ms": drain_ms, "delivery.first_byte_timeout_ms": 60000,
                                  "delivery.total_timeout_ms": 60000})
    api = api_of(server)
    api.project("stuck")
    never = threading.Event()
    receiver.always(Answer(hold=never))
    policy = api.webhook("stuck", receiver.url)
    event = api.submit("stuck")
    first = receiver.next()
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(timeout=DRAIN_PROMISE_S)
    server.stop(how=signal.SIGCONT)
    assert f"after {drain_ms} ms" in says(server, "stopping with work running")
    receiver.always(Answer(200))
    never.set()
    server.start()
    second = receiver.next()
    assert second.header("webhook-id") == event["id"] and second.body == first.body
    assert {one["status"] for one in api.execution_ended("stuck", policy)} == {"Success"}


def test_the_default_drain_keeps_the_promise_of_ten_seconds():
    _, kind, default = rows(settings_table())["limits.drain_ms"]
    assert kind == "integer" and int(default) <= DRAIN_PROMISE_S * 1000


def test_a_request_that_runs_is_answered_before_the_stop(new_server, api_of):
    server = new_server()
    api_of(server).project("last")
    body = json.dumps(envelope(notification(repository="last/app", tag="v1"))).encode()
    with server.socket() as plain:
        plain.sendall(b"POST /ingest/distribution HTTP/1.1\r\nHost: x\r\n"
                      b"Authorization: Bearer ingest-token-of-the-tests\r\n"
                      b"Content-Type: application/vnd.docker.distribution.events.v1+json\r\n"
                      b"Content-Length: %d\r\n\r\n" % len(body) + body[:100])
        # The server has the head once it answers another client.
        assert server.request("GET", "/healthz")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        says(server, "stopping on signal")
        plain.sendall(body[100:])
        answer = plain.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200 ")
    server.stop(how=signal.SIGCONT)
    server.start()
    assert len(api_of(server).get("/projects/last/events").json) == 1


def test_sighup_reloads_and_goes_on(new_server, api_of, receiver):
    server = new_server()
    api = api_of(server)
    api.project("reloaded")
    api.webhook("reloaded", receiver.url)
    server.process.send_signal(signal.SIGHUP)
    assert " info " in says(server, " app: reloaded")
    event = api.submit("reloaded")
    assert receiver.next().header("webhook-id") == event["id"]


def test_the_control_socket_goes_with_the_server_and_a_stale_one_is_replaced(new_server):
    server = new_server()
    path = server.data / "control.sock"
    assert path.is_socket() and path.stat().st_mode & 0o777 == 0o600
    server.kill()
    assert path.exists()
    server.start()
    assert run("user", "passwd", "admin", "--data", str(server.data), "--password-stdin", stdin="Brand-New-12345\n")[0] == 0
    assert login(server, "Brand-New-12345") == 200
    server.stop()
    assert not path.exists()
