# SPDX-License-Identifier: Apache-2.0
"""The client commands, as people and scripts use them. `harbinger listen` has test_listen.py."""
import datetime
import json
import os
import pty
import re
import select
import shutil
import socket
import stat
import subprocess

import pytest

from support.api import Api, push_event
from support.receiver import Answer
from support.server import ADMIN_PASSWORD, binary
from support.waiting import BOUND_S, wait_until

TEN = ["PUSH_ARTIFACT", "PULL_ARTIFACT", "DELETE_ARTIFACT", "QUOTA_EXCEED", "QUOTA_WARNING", "SCANNING_FAILED",
       "SCANNING_STOPPED", "SCANNING_COMPLETED", "REPLICATION", "TAG_RETENTION"]
USAGE, FAILED = 2, 1


class Cli:
    """Runs commands with a configuration folder of its own."""

    def __init__(self, folder):
        self.config = folder / "config"
        self.login_file = self.config / "harbinger" / "login.json"
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("HARBINGER_")}
        self.env["XDG_CONFIG_HOME"] = str(self.config)

    def run(self, *arguments, code=0, stdin="", env=None):
        """The completed process; `code` is the exit code that the test is about."""
        done = subprocess.run([binary(), *arguments], input=stdin, env={**self.env, **(env or {})}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=BOUND_S, check=False)
        assert done.returncode == code, f"{arguments}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def out(self, *arguments, **options):
        return self.run(*arguments, **options).stdout

    def words(self, *arguments, code=FAILED, **options):
        """What a failing command says: one line, and nothing for programs."""
        done = self.run(*arguments, code=code, **options)
        assert done.stdout == "" and done.stderr.count("\n") == 1, done.stdout + done.stderr
        return done.stderr

    def json(self, *arguments, **options):
        return json.loads(self.out(*arguments, "--json", **options))

    def login(self, url, *arguments, **options):
        return self.run("login", url, "--username", "admin", "--password-stdin", *arguments,
                        stdin=ADMIN_PASSWORD + "\n", **options)

    def kept(self):
        return json.loads(self.login_file.read_text())


@pytest.fixture
def anonymous(tmp_path):
    return Cli(tmp_path)


@pytest.fixture
def cli(anonymous, server):
    anonymous.login(server.url)
    return anonymous


def rows(table):
    """The cells of a printed table by column title."""
    lines = table.splitlines()
    starts = [match.start() for match in re.finditer(r"(?:(?<=  )|^)\S", lines[0])]
    cut = lambda line: [line[a:b].strip() for a, b in zip(starts, starts[1:] + [None])]  # noqa: E731
    titles = cut(lines[0])
    return [dict(zip(titles, cut(line))) for line in lines[1:]]


# ---- who one is ------------------------------------------------------------------------------------------------------------


def test_login_keeps_a_token_that_only_its_owner_can_read_and_logout_revokes_it(anonymous, server):
    assert f"logged in to {server.url} as admin" in anonymous.login(server.url).stdout
    kept = anonymous.kept()
    assert kept["url"] == server.url and kept["token"].startswith("hbt_")
    assert ADMIN_PASSWORD not in anonymous.login_file.read_text()
    assert stat.S_IMODE(anonymous.login_file.stat().st_mode) == 0o600
    assert anonymous.out("whoami") == f"admin (administrator) at {server.url}\n"
    api = Api(server, f"Bearer {kept['token']}")
    api.get("/users/current")
    assert "revoked" in anonymous.out("logout")
    assert not anonymous.login_file.exists()
    api.get("/users/current", expect=401)
    assert anonymous.out("logout") == "you were not logged in\n"


def test_a_new_login_revokes_the_token_of_the_one_before(cli, server):
    before = cli.kept()["token"]
    cli.login(server.url)
    Api(server, f"Bearer {before}").get("/users/current", expect=401)
    assert "admin" in cli.out("whoami")


def test_a_wrong_password_is_said_and_keeps_nothing(anonymous, server):
    words = anonymous.words("login", server.url, "--username", "admin", "--password-stdin", stdin="wrong\n")
    assert words == "harbinger login: user name or password is wrong\n"
    assert not anonymous.login_file.exists()


def test_login_asks_on_a_terminal_and_does_not_show_the_password(anonymous, server):
    master, slave = pty.openpty()
    process = subprocess.Popen([binary(), "login", server.url], env=anonymous.env, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = ""

    def read_until(words):
        nonlocal shown
        while words not in shown:
            assert select.select([master], [], [], BOUND_S)[0], shown
            shown += os.read(master, 4096).decode()

    read_until("User name: ")
    os.write(master, b"admin\n")
    read_until("Password: ")
    os.write(master, ADMIN_PASSWORD.encode() + b"\n")
    read_until("logged in to")
    assert process.wait(timeout=BOUND_S) == 0
    os.close(master)
    assert ADMIN_PASSWORD not in shown


def test_login_without_a_terminal_says_which_options_to_give(anonymous, server):
    assert "--username NAME and --password-stdin" in anonymous.words("login", server.url, code=USAGE)
    assert "--password-stdin" in anonymous.words("login", server.url, "--username", "admin", code=USAGE)


def test_a_command_without_login_says_what_to_do(anonymous):
    assert "you are not logged in: run `harbinger login URL`" in anonymous.words("project", "ls")


def test_a_revoked_token_says_log_in_again(cli, server):
    Api(server).delete(f"/harbinger/tokens/{cli.kept()['token_id']}")
    assert "log in again with `harbinger login URL`" in cli.words("project", "ls")


def test_a_server_that_is_not_there_says_what_to_check(cli):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    words = cli.words("whoami", env={"HARBINGER_URL": url, "HARBINGER_TOKEN": "hbt_x"})
    assert url in words and "Connection refused" in words and "is the server running there" in words


def test_something_else_than_harbinger_is_recognised(anonymous, receiver):
    receiver.always(Answer(404, body=b"nothing here"))
    words = anonymous.words("whoami", env={"HARBINGER_URL": receiver.url, "HARBINGER_TOKEN": "hbt_x"})
    assert "answered 404, but not as a Harbinger does" in words


def test_the_environment_comes_before_the_file(anonymous, cli, server):
    token = cli.kept()["token"]
    cli.login_file.unlink()
    assert "admin" in anonymous.out("whoami", env={"HARBINGER_URL": server.url, "HARBINGER_TOKEN": token})


def test_a_kept_token_is_never_sent_to_another_server(cli, server):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        other.setblocking(False)
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        assert "another server" in cli.words("whoami", env={"HARBINGER_URL": url})
        with pytest.raises(BlockingIOError):
            other.accept()
    assert "admin" in cli.out("whoami", env={"HARBINGER_URL": server.url + "/"})


def test_a_login_that_others_can_read_is_not_used(cli):
    cli.login_file.chmod(0o644)
    assert "chmod 600" in cli.words("whoami", code=USAGE)


def test_a_damaged_login_says_what_to_do(cli):
    cli.login_file.write_text('{"url":')
    assert "remove it and log in again" in cli.words("whoami")


def test_a_private_authority_is_named_with_ca_file_and_remembered(anonymous, new_server, certificates, tmp_path):
    certificate, key = certificates.good
    server = new_server(settings={"tls.cert_file": certificate, "tls.key_file": key})
    assert server.url.startswith("https://")
    words = anonymous.words("login", server.url, "--username", "admin", "--password-stdin", stdin=ADMIN_PASSWORD)
    assert "not trusted" in words and "--ca-file FILE" in words
    ca = os.path.relpath(certificates.ca)
    anonymous.login(server.url, "--ca-file", ca)
    assert anonymous.kept()["ca"] == os.path.realpath(certificates.ca)
    assert "admin" in anonymous.out("whoami")
    assert "No such file" in anonymous.words("login", server.url, "--ca-file", str(tmp_path / "none"), code=USAGE)


# ---- projects and webhooks ---------------------------------------------------------------------------------------------------


def test_a_project_is_made_shown_and_removed(cli):
    assert cli.out("project", "create", "cli-made") == "created project cli-made\n"
    assert "already exists" in cli.words("project", "create", "cli-made")
    assert "cli-made" in [row["NAME"] for row in rows(cli.out("project", "ls"))]
    assert "cli-made" in [one["name"] for one in cli.json("project", "ls")]
    assert re.search(r"^Name: +cli-made$", cli.out("project", "show", "cli-made"), re.MULTILINE)
    assert cli.json("project", "create", "cli-open", "--public")["metadata"]["public"] == "true"
    for name in ("cli-made", "cli-open"):
        assert cli.out("project", "rm", name) == f"removed project {name}\n"
    assert "not found" in cli.words("project", "show", "cli-made")


def test_a_project_whose_name_is_a_number_is_found_by_name(cli):
    cli.run("project", "create", "4711")
    assert cli.json("project", "show", "4711")["name"] == "4711"
    cli.run("webhook", "create", "--project", "4711", "--name", "w", "--url", "http://127.0.0.1:9999/")
    assert [one["name"] for one in cli.json("webhook", "ls", "--project", "4711")] == ["w"]
    cli.run("project", "rm", "4711")


def test_a_new_webhook_asks_for_everything_is_on_and_checks_certificates(cli, project):
    out = cli.out("webhook", "create", "--project", project, "--name", "ci", "--url", "https://ci.example.com/hook")
    assert re.fullmatch(r"created webhook ci \(id \d+\)\n", out)
    shown = cli.json("webhook", "show", "ci", "--project", project)
    assert shown["enabled"] is True and shown["event_types"] == TEN
    assert shown["targets"] == [{"address": "https://ci.example.com/hook", "payload_format": "Default", "type": "http"}]
    assert cli.json("webhook", "show", str(shown["id"]), "--project", project) == shown
    row = rows(cli.out("webhook", "ls", "--project", project))[0]
    assert (row["NAME"], row["ENABLED"], row["ADDRESS"]) == ("ci", "yes", "https://ci.example.com/hook")


def test_every_option_of_a_webhook_reaches_the_server(cli, project):
    made = cli.json("webhook", "create", "--project", project, "--name", "all", "--url", "http://127.0.0.1:9999/",
                    "--format", "CloudEvents", "--event", "PUSH_ARTIFACT, DELETE_ARTIFACT", "--description", "what for",
                    "--auth-header-stdin", "--skip-cert-verify", "--no-extras", "--strict-order", "--tagged-only", "--disabled",
                    stdin="Bearer s3cret\n")
    assert made["description"] == "what for" and made["enabled"] is False
    assert made["event_types"] == ["PUSH_ARTIFACT", "DELETE_ARTIFACT"]
    assert made["harbinger"] == {"tagged": "only"}
    assert made["targets"] == [{"address": "http://127.0.0.1:9999/", "auth_header": "********", "payload_format": "CloudEvents",
                                "skip_cert_verify": True, "type": "http", "harbinger": {"extras": False, "strict_order": True}}]
    slack = cli.json("webhook", "create", "--project", project, "--name", "chat", "--type", "slack",
                     "--url", "https://hooks.slack.com/services/T/B/x")
    assert slack["targets"][0]["type"] == "slack" and "payload_format" not in slack["targets"][0]


def test_an_edit_changes_what_is_named_and_keeps_the_secret(cli, project, receiver):
    cli.run("webhook", "create", "--project", project, "--name", "e", "--url", receiver.url, "--auth-header", "Bearer one",
            "--no-extras", "--strict-order", "--tagged-only", "--description", "kept")
    order = {"strict_order": True}
    changed = cli.json("webhook", "edit", "e", "--project", project, "--event", "PUSH_ARTIFACT", "--name", "f")
    assert changed["event_types"] == ["PUSH_ARTIFACT"] and changed["name"] == "f" and changed["description"] == "kept"
    assert changed["harbinger"] == {"tagged": "only"} and changed["targets"][0]["harbinger"] == {"extras": False, **order}
    submit(cli, project)
    assert receiver.next().header("Authorization") == "Bearer one"
    changed = cli.json("webhook", "edit", "f", "--project", project, "--extras", "--untagged-too", "--auth-header", "")
    assert changed["targets"][0]["harbinger"] == order
    changed = cli.json("webhook", "edit", "f", "--project", project, "--no-strict-order")
    assert "harbinger" not in changed and "harbinger" not in changed["targets"][0]
    assert "auth_header" not in changed["targets"][0]


def submit(cli, project, **fields):
    """Sends an event with the CLI; its id."""
    return cli.json("event", "send", "-", "--project", project, stdin=json.dumps(push_event(**fields)))["id"]


def test_a_webhook_is_switched_off_and_on_and_removed(cli, project):
    cli.run("webhook", "create", "--project", project, "--name", "s", "--url", "http://127.0.0.1:9999/")
    assert cli.out("webhook", "disable", "s", "--project", project) == "disabled webhook s\n"
    assert cli.json("webhook", "show", "s", "--project", project)["enabled"] is False
    assert cli.json("webhook", "enable", "s", "--project", project)["enabled"] is True
    assert "removed webhook s" in cli.out("webhook", "rm", "s", "--project", project)
    assert f"project {project} has no webhook `s`" in cli.words("webhook", "show", "s", "--project", project)
    done = cli.run("webhook", "ls", "--project", project)
    assert done.stdout == "" and "harbinger webhook create" in done.stderr


def test_a_webhook_is_paused_and_resumed(cli, api, project, receiver):
    number = api.webhook(project, receiver.url, name="p")
    at = ("p", "--project", project)
    assert cli.out("webhook", "pause", *at, "--mode", "hold") == "paused webhook p: its deliveries wait until it is resumed\n"
    assert "hold" in cli.out("webhook", "show", *at)
    sent = api.submit(project)["id"]
    assert cli.out("webhook", "resume", *at) == "resumed webhook p: what waits is sent\n"
    assert receiver.next().header("webhook-id") == sent
    assert cli.json("webhook", "pause", str(number), "--project", project, "--mode", "hold")["harbinger"] == {"paused": "hold"}
    api.submit(project)
    assert "harbinger" not in cli.json("webhook", "resume", *at, "--backlog", "drop")
    assert [one["status"] for one in api.executions(project, number)] == ["Stopped", "Success"]
    assert "no delivery is made" in cli.out("webhook", "pause", *at, "--mode", "skip")
    assert cli.json("webhook", "show", *at)["enabled"] is False


def test_pausing_asks_for_a_mode_and_resuming_for_a_backlog_that_there_is(cli, api, project, receiver):
    api.webhook(project, receiver.url, name="p")
    at = ("p", "--project", project)
    assert "--mode takes hold or skip" in cli.words("webhook", "pause", *at, code=USAGE)
    assert "--mode takes hold or skip" in cli.words("webhook", "pause", *at, "--mode", "stop", code=USAGE)
    assert "--backlog takes keep or drop" in cli.words("webhook", "resume", *at, "--backlog", "some", code=USAGE)
    assert "has no webhook `q`" in cli.words("webhook", "pause", "q", "--project", project, "--mode", "hold")


def test_the_servers_words_on_a_wrong_webhook_are_shown(cli, project):
    create = ("webhook", "create", "--project", project)
    assert "invalid scheme: ftp" in cli.words(*create, "--name", "x", "--url", "ftp://example.com/")
    assert "unsupported event type NOTHING" in cli.words(*create, "--name", "x", "--url", "http://127.0.0.1:9999/",
                                                         "--event", "NOTHING")
    assert "--name NAME and --url URL are needed" in cli.words(*create, "--name", "x", code=USAGE)
    assert "--project P" in cli.words("webhook", "ls", code=USAGE)
    assert "10.1.2.3" not in cli.words(*create, "--name", "x", "--url", "http://127.0.0.1:22/")


def test_the_event_types_are_listed(cli, project):
    assert [line.split()[0] for line in cli.out("webhook", "events", "--project", project).splitlines()] == TEN
    assert cli.json("webhook", "events", "--project", project)["event_type"] == TEN


def test_a_webhook_is_tested_and_the_exit_code_says_how_it_went(cli, project, receiver):
    cli.run("webhook", "create", "--project", project, "--name", "t", "--url", receiver.url + "/hook", "--auth-header",
            "Bearer t0p-s3cret", "--event", "QUOTA_WARNING", "--disabled")
    receiver.answers(Answer(200, headers={"X-Kind": "yes"}, body=b"first line\n\x1b[2Jsecond"), Answer(500), Answer(200))
    out = cli.out("webhook", "test", "t", "--project", project)
    request = receiver.next()
    assert request.header("X-Harbinger-Test") == "true" and request.json["type"] == "QUOTA_WARNING"
    assert re.search(r"^Outcome: +success$", out, re.M) and re.search(r"^Answer: +200$", out, re.M)
    assert re.search(r"^Total, us: +\d+$", out, re.M)
    assert "  Authorization: ********\n" in out and "  X-Kind: yes\n" in out and request.body.decode() in out
    assert "  first line\n  \\u001b[2Jsecond\n" in out and "t0p-s3cret" not in out
    failed = cli.run("webhook", "test", "t", "--project", project, "--event", "PUSH_ARTIFACT", code=FAILED)
    assert "Outcome:" in failed.stdout and "the receiver answered 500" in failed.stderr
    assert receiver.next().json["type"] == "PUSH_ARTIFACT"
    shown = cli.json("webhook", "test", "t", "--project", project)
    assert (shown["outcome"], shown["status"]) == ("success", 200)
    assert "there is no target 1" in cli.words("webhook", "test", "t", "--project", project, "--target", "1")


def test_a_sample_is_printed_as_it_would_be_sent(cli, project):
    for name, key in (("Default", "event_data"), ("CloudEvents", "specversion"), ("Slack", "blocks")):
        out = cli.out("webhook", "sample", "--project", project, "--event", "PUSH_ARTIFACT", "--format", name)
        assert key in json.loads(out) and out.count("\n") == 1
    bare = cli.out("webhook", "sample", "--project", project, "--event", "PUSH_ARTIFACT", "--no-extras")
    assert "harbinger" not in json.loads(bare)["event_data"]
    assert cli.json("webhook", "sample", "--project", project, "--event", "REPLICATION")["event_type"] == "REPLICATION"
    cli.words("webhook", "sample", "--project", project, code=USAGE)
    assert "UPLOAD_CHART" in cli.words("webhook", "sample", "--project", project, "--event", "UPLOAD_CHART")


# ---- events and deliveries -----------------------------------------------------------------------------------------------------


def test_an_event_is_sent_listed_and_explained(cli, project, receiver, tmp_path):
    cli.run("webhook", "create", "--project", project, "--name", "gets", "--url", receiver.url)
    cli.run("webhook", "create", "--project", project, "--name", "not", "--url", receiver.url, "--event", "REPLICATION")
    (tmp_path / "event.json").write_text(json.dumps(push_event(tag="v7")))
    send = ("event", "send", str(tmp_path / "event.json"), "--project", project, "--idempotency-key", "k1")
    out = cli.out(*send)
    identifier = re.fullmatch(r"event (\S+) is recorded\n", out).group(1)
    assert cli.out(*send) == out  # the same key: the same event
    assert receiver.next().header("webhook-id") == identifier
    row = rows(cli.out("event", "ls", "--project", project))[0]
    assert (row["TYPE"], row["ACTOR"], row["REFERENCE"], row["ID"]) == ("PUSH_ARTIFACT", "alice", "v7", identifier)
    assert cli.json("event", "ls", "--project", project, "--type", "REPLICATION") == []
    shown = cli.out("event", "show", identifier, "--project", project)
    assert re.search(r"^Tags: +v7$", shown, re.MULTILINE)
    why = {row["WEBHOOK"]: row for row in rows(shown[shown.index("WEBHOOK"):])}
    assert why["gets"]["SENT"] == "yes" and why["not"]["SENT"] == "no" and why["not"]["REASON"]


def test_what_is_no_event_is_refused_with_the_field(cli, project):
    send = ("event", "send", "-", "--project", project)
    assert "artifacts[0].digest" in cli.words(*send, stdin=json.dumps(push_event(digest="sha256:short")))
    assert "is empty" in cli.words(*send, stdin="")
    assert "No such file" in cli.words("event", "send", "/nonexistent/file", "--project", project)


def test_the_example_of_event_send_works(cli, project):
    lines = cli.out("event", "send", "--help").splitlines()
    command = "\n".join(line.strip() for line in lines if "DIGEST" in line)
    command = command.replace("team-a", project).replace("harbinger event", f"{binary()} event")
    done = subprocess.run(["bash", "-c", command], env=cli.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout


def test_deliveries_are_listed_shown_and_sent_again(cli, project, receiver):
    cli.run("webhook", "create", "--project", project, "--name", "d", "--url", receiver.url)
    identifier = submit(cli, project)
    first = receiver.next()
    ls = ("delivery", "ls", "--project", project, "--webhook", "d")
    done = wait_until(lambda: [one for one in cli.json(*ls) if one["status"] == "Success"], "the delivery's end")
    number = str(done[0]["id"])
    assert rows(cli.out(*ls))[0]["STATUS"] == "Success"
    assert cli.json(*ls, "--status", "Error") == []
    shown = cli.out("delivery", "show", number, "--project", project)
    assert re.search(rf"^Event id: +{identifier}$", shown, re.MULTILINE)
    assert re.search(r"^1 +\S+ +success +200 ", shown, re.MULTILINE)
    again = re.fullmatch(r"sent again as delivery (\d+)\n",
                         cli.out("delivery", "redeliver", number, "--project", project)).group(1)
    second = receiver.next()
    assert second.header("X-Harbinger-Delivery") == again != number
    assert second.header("webhook-id") == first.header("webhook-id") == identifier and second.body == first.body
    assert "not the number of a delivery" in cli.words("delivery", "show", "x", "--project", project, code=USAGE)


def test_long_lists_come_in_pages_and_say_how_much_there_is(cli, project):
    for number in range(3):
        submit(cli, project, tag=f"v{number}")
    done = cli.run("event", "ls", "--project", project, "--limit", "2")
    assert [row["SEQ"] for row in rows(done.stdout)] == ["3", "2"]
    assert done.stderr == "2 of 3; --page 2 shows more\n"
    done = cli.run("event", "ls", "--project", project, "--limit", "2", "--page", "2")
    assert [row["SEQ"] for row in rows(done.stdout)] == ["1"] and done.stderr == ""
    assert "from 1 to 100" in cli.words("event", "ls", "--project", project, "--limit", "0", code=USAGE)


def test_nothing_from_the_server_can_control_the_terminal(cli, api, project):
    evil = "\x1b[2J\x9b31m\u202etxet\u2066\x07"
    api.webhook(project, "http://127.0.0.1:9999/", name="evil", description=evil)
    for arguments in (("show", "evil"), ("ls",), ("show", "evil", "--json")):
        out = cli.out("webhook", *arguments, "--project", project)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", out), repr(out)
    assert "\\u001b[2J\\u009b31m\\u202etxet\\u2066\\u0007" in cli.out("webhook", "show", "evil", "--project", project)
    assert cli.json("webhook", "show", "evil", "--project", project)["description"] == evil
    words = cli.words("webhook", "show", "\x1b[2J", "--project", project)
    assert "\x1b" not in words


# ---- administration --------------------------------------------------------------------------------------------------------------


def test_tokens_are_made_with_the_password_listed_and_revoked(cli, server):
    done = cli.run("token", "create", "ci", "--password-stdin", stdin=ADMIN_PASSWORD + "\n")
    token = done.stdout.strip()
    assert re.fullmatch(r"hbt_[A-Za-z0-9_-]{43}", token) and "only time" in done.stderr
    api = Api(server, f"Bearer {token}")
    api.get("/users/current")
    row = next(row for row in rows(cli.out("token", "ls")) if row["NAME"] == "ci")
    assert token not in cli.out("token", "ls", "--json")
    assert cli.out("token", "rm", row["ID"]) == f"revoked token {row['ID']}\n"
    api.get("/users/current", expect=401)
    assert "user name or password is wrong" in cli.words("token", "create", "x", "--password-stdin", stdin="wrong\n")


def test_private_ranges_are_allowed_and_denied(cli):
    try:
        assert cli.out("egress", "allow", "10.77.0.0/16") == "webhooks may reach 10.77.0.0/16\n"
        assert cli.json("egress", "allow", "192.168.7.1")["allowed"] == ["10.77.0.0/16", "192.168.7.1/32"]
        assert cli.out("egress", "ls").splitlines() == ["10.77.0.0/16", "192.168.7.1/32"]
        assert "public" in cli.words("egress", "allow", "8.8.8.0/24")
        assert "is not a range" in cli.words("egress", "allow", "10.77.0.1/16", code=USAGE)
    finally:
        assert "no longer" in cli.out("egress", "deny", "10.77.0.0/16")
        cli.run("egress", "deny", "192.168.7.1")
    assert "was not allowed" in cli.words("egress", "deny", "10.77.0.0/16")
    done = cli.run("egress", "ls")
    assert done.stdout == "" and "no private range" in done.stderr


def test_the_ingest_log_and_the_audit_are_shown(cli, server, project):
    server.ingest({"events": [{"id": "n1", "timestamp": "2026-08-21T08:13:20Z", "action": "push", "target": {
        "mediaType": "application/octet-stream", "digest": "sha256:" + "a" * 64, "repository": f"{project}/blobs"},
        "request": {"method": "PUT"}}]})
    row = next(row for row in rows(cli.out("ingest", "log")) if row["REPOSITORY"] == f"{project}/blobs")
    assert (row["SOURCE"], row["REASON"]) == ("distribution", "blob")
    cli.run("webhook", "create", "--project", project, "--name", "audited", "--url", "http://127.0.0.1:9999/")
    assert any(row["ACTOR"] == "admin" and row["OPERATION"] == "create" and row["KIND"] == "policy" and
               "audited" in row["SUBJECT"] for row in rows(cli.out("audit", "ls")))


def test_the_audit_is_narrowed_by_project_actor_operation_kind_and_time(cli, project):
    def subjects(*options):
        return [(one["operation"], one["subject"]) for one in cli.json("audit", "ls", "--project", project, *options)]

    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    cli.run("webhook", "create", "--project", project, "--name", "one", "--url", "http://127.0.0.1:9999/")
    cli.run("webhook", "rm", "one", "--project", project)
    everything = [("delete", f"{project}/one"), ("create", f"{project}/one"), ("create", project)]
    assert subjects() == subjects("--actor", "admin") == subjects("--since", "7d") == everything
    assert subjects("--since", before.strftime("%Y-%m-%dT%H:%M:%SZ"))[:2] == everything[:2]
    assert subjects("--operation", "create", "--kind", "policy") == [("create", f"{project}/one")]
    assert subjects("--actor", "nobody") == []
    assert subjects("--since", (before + datetime.timedelta(days=1)).isoformat()) == []
    row = rows(cli.out("audit", "ls", "--project", project, "--operation", "create", "--kind", "policy"))[0]
    assert row["FIELDS"].startswith("name, enabled, event_types, targets[0].type")
    assert all(one["operation"] == "login refused" for one in cli.json("audit", "ls", "--operation", "login refused"))


@pytest.mark.parametrize("options", [("--since", "yesterday"), ("--since", "-1d"), ("--since", "9999999d"), ("--actor", "a,b"),
                                     ("--kind", "")])
def test_an_audit_of_what_cannot_be_asked_for_is_refused(cli, options):
    assert options[0] in cli.words("audit", "ls", *options, code=USAGE)


# ---- help --------------------------------------------------------------------------------------------------------------------------


def commands():
    """(noun, verb or None) of every client command, from the program's own help."""
    text = subprocess.run([binary(), "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    text = text[text.index("Over the API"):]
    nouns = dict.fromkeys(re.findall(r"^  ([a-z]+) ", text, re.MULTILINE))
    for noun in nouns:
        verbs = re.findall(rf"^  {noun} ([a-z]+) ", text, re.MULTILINE)
        if noun != "version":
            yield from [(noun, verb) for verb in verbs] or [(noun, None)]


def test_every_command_explains_itself_with_examples(anonymous):
    found = list(commands())
    assert len(found) >= 30
    for noun, verb in found:
        command = [word for word in (noun, verb) if word]
        text = anonymous.out(*command, "--help")
        assert text.startswith(f"usage: harbinger {' '.join(command)}"), text
        assert "\nexamples:\n  " in text and f"harbinger {noun}" in text[text.index("examples:"):], text
        if verb:
            assert f"{noun} {verb}" in anonymous.out(noun, "--help")


def test_what_is_mistyped_is_named_with_the_way_to_help(anonymous):
    assert "there is no `lst`" in anonymous.words("project", "lst", code=USAGE)
    assert "--nope" in anonymous.words("project", "ls", "--nope", code=USAGE)
    assert "too many: b" in anonymous.words("project", "show", "a", "b", code=USAGE)
    assert "missing: NAME" in anonymous.words("project", "show", code=USAGE)
    assert "after --limit" in anonymous.words("event", "ls", "--limit", code=USAGE)
    assert "harbinger event ls --help" in anonymous.words("event", "ls", "--nope", code=USAGE)


def complete(text, words, position):
    script = f"""{text}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={position}; _harbinger; printf '%s\\n' "${{COMPREPLY[@]}}" """
    return subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def test_bash_completes_commands_verbs_and_options(anonymous):
    text = anonymous.out("completion", "bash")
    assert complete(text, ["harbinger", "web"], 1) == ["webhook"]
    assert complete(text, ["harbinger", "webhook", "e"], 2) == ["events", "edit", "enable"]
    assert complete(text, ["harbinger", "webhook", "create", "--pro"], 3) == ["--project"]
    assert complete(text, ["harbinger", "webhook", "pause", "--m"], 3) == ["--mode"]
    assert complete(text, ["harbinger", "webhook", "resume", "--b"], 3) == ["--backlog"]
    assert complete(text, ["harbinger", "listen", "--ex"], 2) == ["--exec"]
    assert set(complete(text, ["harbinger", ""], 1)) >= {noun for noun, _ in commands()} | {"serve"}


def test_zsh_understands_its_completion(anonymous):
    if not shutil.which("zsh"):
        pytest.skip("no zsh here")
    subprocess.run(["zsh", "-n"], input=anonymous.out("completion", "zsh"), text=True, check=True)
