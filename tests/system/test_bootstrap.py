# SPDX-License-Identifier: Apache-2.0
"""scripts/bootstrap: nothing to do is fast and silent, and what it installs leaves no daemon running or enabled.

The campaign works in bare Debian roots (debootstrap) with the services' own way to start left open: no policy-rc.d,
/run/systemd/system there, and a recording systemctl and invoke-rc.d first in PATH.
"""
import os
import shutil
import subprocess
import time

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOOTSTRAP = os.path.join(TOP, "scripts", "bootstrap")
CLEAN_ROOT = os.path.join(TOP, "scripts", "clean-root")
SERVICES = ["docker-registry.service", "nginx.service"]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and chroot")


def run(command, timeout_s=60, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=timeout_s, check=False, **options)


# -- what every run of the suite can see ------------------------------------------------------------------------------


def refusing_apt(folder):
    """A PATH that begins with an apt-get which leaves a mark, fails and does nothing."""
    mark = folder / "apt-was-called"
    for name in ("apt-get", "sudo"):
        tool = folder / name
        tool.write_text(f"#!/bin/sh\ntouch {mark}\nexit 1\n")
        tool.chmod(0o755)
    return mark, dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}")


def test_nothing_to_install_takes_no_time_and_calls_no_apt(tmp_path):
    mark, env = refusing_apt(tmp_path)
    started = time.monotonic()
    done = run([BOOTSTRAP, "run", "test"], env=env)
    assert done.returncode == 0, done.stdout
    assert done.stdout == ""
    assert time.monotonic() - started < 2
    assert not mark.exists()


@as_root
def test_nothing_to_install_needs_no_network():
    done = run(["unshare", "--net", BOOTSTRAP, "run", "test"])
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("arguments", [[], ["everything"], ["run", "nosuch"]])
def test_unknown_set_is_refused_with_the_names_of_the_sets(arguments):
    done = run([BOOTSTRAP, *arguments])
    assert done.returncode == 1
    assert "bench" in done.stdout


@as_root
def test_another_distribution_gets_the_list_and_nothing_is_installed(tmp_path):
    mark, _ = refusing_apt(tmp_path)
    release = tmp_path / "os-release"
    release.write_text("ID=fedora\n")
    # Everything of this machine but one tool, so that there is something to ask for.
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in ("/usr/sbin", "/usr/bin"):
        for name in os.listdir(folder):
            if name not in ("skopeo", "apt-get", "sudo"):
                link = tools / name
                if not link.is_symlink():
                    link.symlink_to(os.path.join(folder, name))
    script = 'mount --bind "$1" "$(realpath /etc/os-release)"; export PATH="$2"; exec "$3" run'
    done = run(["unshare", "--mount", "bash", "-c", script, "bash", release, f"{tmp_path}:{tools}", BOOTSTRAP])
    assert done.returncode == 1
    assert "skopeo" in done.stdout and "not Debian or Ubuntu" in done.stdout
    assert "umoci" not in done.stdout
    assert not mark.exists()


def test_sets_name_each_package_once_and_include_what_they_build_on():
    listed = {name: run([BOOTSTRAP, "--list", name]).stdout.split() for name in ("run", "test", "ci", "bench")}
    for packages in listed.values():
        assert packages and len(packages) == len(set(packages))
    assert set(listed["run"]) < set(listed["test"]) < set(listed["ci"])
    assert set(listed["run"]) <= set(listed["bench"])


# -- the campaign -----------------------------------------------------------------------------------------------------

# Says what was asked, and lets through what works on files; there is no init here that could start anything.
SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >> /var/log/recorder
if [ -e /kill-bootstrap ] && [ "$(grep -c 'systemctl.*daemon-reload' /var/log/recorder)" -ge 1 ]; then
    rm -f /kill-bootstrap
    for process in /proc/[0-9]*; do
        case "$(tr '\\0' ' ' < $process/cmdline 2>/dev/null)" in
            *scripts/bootstrap*|apt-get*|*/dpkg\\ *) kill -9 "${process#/proc/}" ;;
        esac
    done
fi
case " $* " in
    *" preset "*|*" enable "*|*" disable "*|*" mask "*|*" unmask "*|*" is-enabled "*)
        SYSTEMD_OFFLINE=1 exec /usr/bin/systemctl "$@" ;;
    *" is-active "*) exit 3 ;;
esac
exit 0
"""

# Says what was asked and what the policy answered; what nobody denies would have been started.
INVOKE_RC_D = """#!/bin/sh
original="$*"
while case "$1" in --*) true ;; *) false ;; esac; do shift; done
answer=0
if [ -x /usr/sbin/policy-rc.d ]; then /usr/sbin/policy-rc.d "$1" "$2"; answer=$?; fi
if [ "$answer" = 101 ]; then answer=denied; else answer=allowed; fi
echo "invoke-rc.d $answer $original" >> /var/log/recorder
exit 0
"""


def in_root(root, *command, timeout_s=900):
    return run([CLEAN_ROOT, "run", root, *command], timeout_s=timeout_s, env=dict(os.environ, CLEAN_ROOT_SYSTEMD="1"))


def started_services(root):
    """What the recorders saw being started and not denied."""
    recorder = os.path.join(root, "var/log/recorder")
    if not os.path.exists(recorder):
        return []
    with open(recorder, encoding="utf-8") as file:
        lines = file.read().splitlines()
    return [line for line in lines if line.startswith("invoke-rc.d allowed")
            or line.startswith("systemctl ") and {"start", "restart", "reload-or-restart"} & set(line.split())
            or line.startswith("systemctl ") and "--now" in line.split()]


def enabled(root, service):
    return run(["systemctl", f"--root={root}", "is-enabled", service]).stdout.strip()


def sysv_start_links(root):
    links = []
    for level in "2345S":
        folder = os.path.join(root, "etc", f"rc{level}.d")
        links += [name for name in os.listdir(folder) if name.startswith("S")] if os.path.isdir(folder) else []
    return sorted(set(links))


def every_link(root):
    found = []
    for top in ("etc/systemd/system", "etc/systemd/user"):
        for folder, folders, names in os.walk(os.path.join(root, top)):
            found += [os.path.join(folder, name) for name in folders + names
                      if os.path.islink(os.path.join(folder, name))]
    return sorted(os.path.relpath(path, root) for path in found)


@pytest.fixture(scope="module")
def minimal_root(tmp_path_factory):
    """Debian 12 without an init and with our scripts; nobody changes it."""
    root = str(tmp_path_factory.mktemp("bootstrap") / "minimal")
    made = run([CLEAN_ROOT, "make", "bookworm", root], timeout_s=900)
    assert made.returncode == 0, made.stdout
    os.makedirs(os.path.join(root, "src/scripts"))
    for name in ("bootstrap", "packages"):
        shutil.copy(os.path.join(TOP, "scripts", name), os.path.join(root, "src/scripts"))
    assert not os.path.exists(os.path.join(root, "usr/sbin/policy-rc.d"))
    yield root
    assert run([CLEAN_ROOT, "remove", root], timeout_s=120).returncode == 0


def copy_root(source, target):
    subprocess.run(["cp", "-a", "--reflink=auto", source, target], check=True, timeout=300)
    return target


@pytest.fixture(scope="module")
def bare_root(minimal_root):
    """The same with systemd and the recorders; copied for each test."""
    root = copy_root(minimal_root, minimal_root + "-systemd")
    ready = in_root(root, "/bin/sh", "-c", "apt-get -q update && apt-get -q -y install --no-install-recommends systemd")
    assert ready.returncode == 0, ready.stdout
    for name, text in (("systemctl", SYSTEMCTL), ("invoke-rc.d", INVOKE_RC_D)):
        tool = os.path.join(root, "usr/local/sbin", name)
        with open(tool, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(tool, 0o755)
    # apt-get gives dpkg a PATH of its own.
    with open(os.path.join(root, "etc/apt/apt.conf.d/91recorders"), "w", encoding="utf-8") as file:
        file.write('DPkg::Path "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";\n')
    yield root
    assert run([CLEAN_ROOT, "remove", root], timeout_s=120).returncode == 0


@pytest.fixture
def root(bare_root, tmp_path):
    copy = copy_root(bare_root, str(tmp_path / "root"))
    yield copy
    assert run([CLEAN_ROOT, "remove", copy], timeout_s=120).returncode == 0


def assert_left_as_found(root, links_before, sysv_before):
    assert started_services(root) == []
    for service in SERVICES:
        assert enabled(root, service) == "disabled"
    assert every_link(root) == links_before
    assert sysv_start_links(root) == sysv_before
    for path in ("usr/sbin/policy-rc.d", "usr/sbin/policy-rc.d.before-harbinger", "var/lib/harbinger-bootstrap/pending"):
        assert not os.path.lexists(os.path.join(root, path)), path


@as_root
@pytest.mark.long
@pytest.mark.xdist_group("bootstrap")
def test_the_recorders_see_what_a_plain_installation_starts(root):
    done = in_root(root, "apt-get", "-q", "-y", "install", "--no-install-recommends", "docker-registry")
    assert done.returncode == 0, done.stdout
    assert any("docker-registry" in line for line in started_services(root))
    assert enabled(root, "docker-registry.service") == "enabled"


@as_root
@pytest.mark.long
@pytest.mark.xdist_group("bootstrap")
def test_no_daemon_is_started_or_enabled_and_the_second_run_does_nothing(root):
    links, sysv = every_link(root), sysv_start_links(root)
    show_processes = "for p in /proc/[0-9]*; do cat $p/comm 2>/dev/null; done | sort -u"
    done = in_root(root, "/bin/bash", "-c", f"/src/scripts/bootstrap run test && echo PROCESSES && {show_processes}")
    assert done.returncode == 0, done.stdout
    running = done.stdout.split("PROCESSES")[1].split()
    assert not {"docker-registry", "nginx", "redis-server"} & set(running)
    assert_left_as_found(root, links, sysv)
    os.rename(os.path.join(root, "usr/bin/apt-get"), os.path.join(root, "usr/bin/apt-get.away"))
    with open(os.path.join(root, "usr/bin/apt-get"), "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\nexit 1\n")
    os.chmod(os.path.join(root, "usr/bin/apt-get"), 0o755)
    started = time.monotonic()
    again = in_root(root, "/src/scripts/bootstrap", "run", "test")
    assert (again.returncode, again.stdout) == (0, "")
    assert time.monotonic() - started < 2


@as_root
@pytest.mark.long
@pytest.mark.xdist_group("bootstrap")
def test_a_policy_that_was_there_is_asked_and_put_back(root):
    policy = os.path.join(root, "usr/sbin/policy-rc.d")
    text = "#!/bin/sh\nexit 104\n"
    with open(policy, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(policy, 0o755)
    done = in_root(root, "/src/scripts/bootstrap", "bench")
    assert done.returncode == 0, done.stdout
    assert started_services(root) == []
    assert enabled(root, "docker-registry.service") == "disabled"
    with open(policy, encoding="utf-8") as file:
        assert file.read() == text


@as_root
@pytest.mark.long
@pytest.mark.xdist_group("bootstrap")
def test_a_bootstrap_killed_while_packages_are_set_up_is_finished_by_the_next(root):
    links, sysv = every_link(root), sysv_start_links(root)
    with open(os.path.join(root, "kill-bootstrap"), "w", encoding="utf-8"):
        pass
    killed = in_root(root, "/bin/bash", "-c", "/src/scripts/bootstrap run; exit 0")
    assert not os.path.exists(os.path.join(root, "kill-bootstrap")), killed.stdout
    assert os.path.exists(os.path.join(root, "var/lib/harbinger-bootstrap/pending"))
    done = in_root(root, "/src/scripts/bootstrap", "run", "test")
    assert done.returncode == 0, done.stdout
    assert_left_as_found(root, links, sysv)


@as_root
@pytest.mark.long
@pytest.mark.xdist_group("bootstrap")
def test_without_network_one_sentence_says_what_to_install(root):
    done = run(["unshare", "--net", CLEAN_ROOT, "run", root, "/src/scripts/bootstrap", "run"], timeout_s=300)
    assert done.returncode == 1
    last = done.stdout.strip().splitlines()[-1]
    assert "is there a network?" in last and "docker-registry" in last
    assert not os.path.exists(os.path.join(root, "usr/sbin/policy-rc.d"))


@as_root
@pytest.mark.long
@pytest.mark.xdist_group("bootstrap")
def test_a_machine_without_systemd_is_served_too(minimal_root, tmp_path):
    root = copy_root(minimal_root, str(tmp_path / "root"))
    links, sysv = every_link(root), sysv_start_links(root)
    done = run([CLEAN_ROOT, "run", root, "/src/scripts/bootstrap", "run"], timeout_s=900)
    assert done.returncode == 0, done.stdout
    assert (every_link(root), sysv_start_links(root)) == (links, sysv)
    assert os.path.exists(os.path.join(root, "usr/bin/docker-registry"))
    assert run([CLEAN_ROOT, "remove", root], timeout_s=120).returncode == 0
