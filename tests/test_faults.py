"""Bad input and faults, for real: every one ends with a status that says what it was, one clear line on stderr,
the previous output as it was, and nothing half-written left behind."""
import contextlib
import gzip
import json
import os
import pty
import signal
import subprocess
import threading

import pytest
import zstandard
from conftest import line_of, pair, until

from mc2 import files

A_PAIR = pair(1, "a red circle")
MATCHED = pair(1, "a red circle", "en", [0, 1, 2, 4])


def made(sh, output="out.jsonl"):
    """Make a previous output, and return what it and its manifest hold."""
    sh.write("before.jsonl", A_PAIR)
    sh.ok(f"mc2 lid before.jsonl -o {output} -q")
    return previous(sh, output)


def previous(sh, output="out.jsonl"):
    return (sh / output).read_bytes(), (sh / f"{output}.manifest.json").read_bytes()


def pool(sh, name="big.jsonl", n=40_000):
    return sh.write(name, *(pair(i, f"a red circle and a cat, number {i}, on a mat", "en", url="x" * 300)
                            for i in range(n)))


# ---------------------------------------------------------------- lines

def test_a_stage_that_was_left_out_is_named(artefacts):
    for command in "match -m toy", "count -m toy -o new", "sample -c counts -t t.json":
        artefacts.fails(f"mc2 {command}", 3, "Run 'mc2 lid' first.", stdin=line_of(A_PAIR))
    artefacts.fails("mc2 count -m toy -o new", 3, "Run 'mc2 match' first.", stdin=line_of(pair(1, "red", "en")))


def test_an_unknown_language_and_an_entry_outside_the_metadata_stop(artefacts):
    artefacts.fails("mc2 match -m toy", 3, "'xx'", "toy", stdin=line_of(pair(1, "t", "xx")))
    for command in "count -m toy -o new", "sample -c counts -t t.json":
        artefacts.fails(f"mc2 {command}", 3, "entry 6 of 'en' is outside", stdin=line_of(pair(1, "t", "en", [6])))


# ---------------------------------------------------------------- nothing

def test_nothing_goes_through_all_stages(toy):
    toy.ok("mc2 lid -o lid.jsonl.zst -q && mc2 match lid.jsonl.zst -m toy -o m.jsonl.gz -q && "
           "mc2 count m.jsonl.gz -m toy -o counts -q && mc2 thresholds counts --p 0.5 -o t.json -q")
    assert toy.ok("mc2 sample m.jsonl.gz -c counts -t t.json -q") == ""
    assert "pairs: 0" in toy.ok("mc2 inspect")


def test_thresholds_without_an_english_match_name_the_way_out(toy):
    toy.ok("mc2 count -m toy -o counts -q", line_of(pair(1, "un chat", "fr", [0, 1])))
    toy.fails("mc2 thresholds counts --t-en 20 -o t.json", 3, "--p", "--t-all")


# ---------------------------------------------------------------- compressed files

def test_files_of_several_frames_and_of_skippable_ones_are_read_to_the_end(sh):
    lines = b"".join(line_of(pair(i, "a red circle")) + b"\n" for i in range(1000))
    zst, gz = zstandard.compress(lines), gzip.compress(lines)
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    for name, data in ("a.jsonl.zst", skippable + zst + zstandard.compress(b"") + zst), ("a.jsonl.gz", gz + gz):
        (sh / name).write_bytes(data)
        assert sh.ok(f"mc2 lid {name} -q").count("\n") == 2000


# ---------------------------------------------------------------- artefacts

def test_metadata_of_another_release_are_refused_and_both_named(artefacts):
    def short(path):
        return json.loads((artefacts / path / "manifest.json").read_bytes())["fingerprint"][:12]
    toys, others = short("toy"), short("other")
    for command in "match other.jsonl -m toy", "count other.jsonl -m toy -o new", "inspect other.jsonl -m toy", \
                   "sample other.jsonl -c counts -t t.json", "inspect other-counts -m toy", \
                   "count m.jsonl other-counts -m toy -o new":
        artefacts.fails(f"mc2 {command}", 3, toys, others)


def test_counts_and_thresholds_that_do_not_belong_together_are_refused(artefacts):
    artefacts.fails("mc2 sample m.jsonl -c counts -t other.json -o new.jsonl", 3,
          "other.json: belongs to counts", "counts is")


@pytest.mark.parametrize("damage", [
    "python3 -c 'import numpy as np; np.save(\"counts/en.npy\", np.zeros(5, np.uint64))'",
    "truncate -s 130 counts/en.npy", "truncate -s 0 counts/en.npy", "rm counts/en.npy", "echo >> counts/sample.jsonl",
    "rm counts/manifest.json", "echo '{}' > counts/manifest.json", "echo '{' > counts/manifest.json",
    "sed -i s/matched_pairs/x/ counts/manifest.json",
])
def test_damaged_counts_are_refused(artefacts, damage):
    artefacts.ok(damage, PATH=f"{os.path.dirname(os.sys.executable)}:{artefacts.environment['PATH']}")
    artefacts.fails("mc2 thresholds counts --p 0.5 -o t.json", 3, "counts", "mc2 count")


@pytest.mark.parametrize("damage", ["sed -i s/red/rad/ toy/en.tsv", "rm toy/en.tsv", "echo >> toy/languages.csv",
                                    "rm toy/manifest.json", "sed -i s/lid176/nllb/ toy/manifest.json"])
def test_changed_metadata_are_refused_also_in_a_worker(toy, damage):
    toy.ok(damage)
    for jobs in (1, 2) if "en.tsv" in damage else (1,):
        toy.fails(f"mc2 match -m toy -j {jobs} -o new.jsonl", 3, "toy", "'mc2 build-metadata merge'",
              stdin=line_of(pair(1, "red", "en")))


# ---------------------------------------------------------------- names

def test_foreign_directories_and_files_of_another_kind_are_refused(artefacts):
    artefacts.write("mine/notes.txt", "precious")
    artefacts.fails("mc2 lid m.jsonl -O mine", 2, "mine: this directory is not empty")
    artefacts.fails("mc2 lid m.jsonl -O t.json", 2, "t.json: is a file")
    artefacts.fails("mc2 build-metadata merge sources -o counts", 2, "counts: this directory is not empty")
    artefacts.fails("mc2 thresholds counts --p 0.5 -o mine -q", 2, "mine: is a directory")


def test_usage_errors_name_what_is_missing(sh):
    sh.write("Pool/a.jsonl", A_PAIR)
    sh.fails("mc2 lid Pool/a.jsonl -o x -O y", 2, "exclude each other")
    sh.fails("mc2 lid Pool/a.jsonl -o x.jsonl.bz2", 2, "x.jsonl.bz2: this format is not written")
    sh.fails("mc2 match Pool/a.jsonl", 2, "mc2 match: missing option '-m'")
    sh.fails("mc2 lid --shard 2/2", 2, "I goes from 0 to N-1")
    sh.fails("mc2 no-such-command", 2, "mc2: no such command")


def test_an_output_through_a_link_keeps_the_link(sh):
    sh.write("elsewhere/real.jsonl", "old")
    os.symlink("elsewhere/real.jsonl", sh / "link.jsonl")
    sh.write("a.jsonl", A_PAIR)
    sh.ok("mc2 lid a.jsonl -o link.jsonl -q")
    assert os.readlink(sh / "link.jsonl") == "elsewhere/real.jsonl"
    assert sh.read("elsewhere/real.jsonl")[0]["id"] == A_PAIR["id"]
    assert sorted(os.listdir(sh / "elsewhere")) == ["real.jsonl", "real.jsonl.manifest.json"]


def test_pipes_and_descriptors_are_written_to_not_replaced(sh):
    sh.write("a.jsonl", A_PAIR)
    assert sh.ok("mkfifo f; cat f & mc2 lid a.jsonl -o f -q; wait; test -p f").count("\n") == 1
    sh.ok("for i in 1 2; do mc2 lid a.jsonl -o /dev/stdout -q >> out; done")
    assert len(sh.read("out")) == 2
    assert sh.ok("mc2 lid a.jsonl -o >(cat) -q").count("\n") == 1


def test_the_name_of_a_file_need_not_be_utf8(sh):
    name = b"caf\xe9.jsonl"
    with open(os.path.join(os.fsencode(sh.directory), name), "wb") as stream:
        stream.write(line_of(A_PAIR))
    sh.ok("mc2 lid caf*.jsonl -o out.jsonl -q && mc2 lid caf*.jsonl -n && mc2 inspect out.jsonl")
    assert json.loads((sh / "out.jsonl.manifest.json").read_bytes())["inputs"][0]["name"] == r"caf\udce9.jsonl"


# ---------------------------------------------------------------- the disk, the pipe

def test_a_full_disk_keeps_the_previous_output_and_its_manifest(sh):
    before = made(sh)
    pool(sh, n=4000)
    for jobs in 1, 2:
        sh.fails(f"ulimit -f 100; mc2 lid big.jsonl -j {jobs} -o out.jsonl", 1, "out.jsonl: File too large.")
    assert previous(sh) == before
    done = sh("ulimit -f 100; mc2 lid big.jsonl -O dir")
    assert (done.status, done.stderr) == (1, f"mc2 lid: {sh / 'dir/big.jsonl'}: File too large.\n")
    assert os.listdir(sh / "dir") == [".work"]


def test_a_release_on_a_full_disk_appears_whole_or_not_at_all(toy):
    for output in "new", "toy":
        toy.fails(f"ulimit -f 1; mc2 build-metadata merge sources -o {output}", 1, "File too large.")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_stdout_that_is_full_is_an_error_of_whatever_prints(artefacts):
    for command in "lid m.jsonl -n", "inspect t.json", "thresholds counts --p 0.5 -q", "--help":
        artefacts.fails(f"mc2 {command} > /dev/full", 1, "No space left on device.")


def test_closed_streams_are_errors_only_when_they_are_used(sh):
    sh.write("a.jsonl", A_PAIR)
    sh.fails("mc2 lid a.jsonl >&-", 1, "<stdout>: Bad file descriptor.")
    sh.fails("mc2 lid <&-", 1, "Bad file descriptor.")
    assert sh.ok("mc2 lid a.jsonl 2>&-").count("\n") == 1           # the receipt is no data
    sh.ok("mc2 lid a.jsonl -j 2 -o out.jsonl <&- >&- 2>&-")
    assert (sh / "out.jsonl").read_bytes().count(b"\n") == 1


@pytest.mark.parametrize("command", ["lid big.jsonl", "lid big.jsonl -j 2", "lid -j 2 < big.jsonl"])
def test_a_reader_that_goes_away_ends_the_run_quietly(sh, command):
    pool(sh, n=8000)
    done = sh(f"mc2 {command} | head -1; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout.splitlines()[1], done.stderr) == ("141", "")


@pytest.mark.parametrize("command", ["--help", "lid -h", "--version", "inspect toy", "lid en.json -n", "lid /dev/null"])
def test_a_reader_that_was_never_there_ends_the_run_quietly(toy, command):
    toy.write("en.json", A_PAIR)
    read, write = os.pipe()
    os.close(read)
    done = toy.process(f"exec mc2 {command}", stdout=write)
    os.close(write)
    if "null" in command:                                           # nothing to write, nothing to break
        assert done.status == 0
    else:
        assert (done.status, done.stderr) == (141, "")


# ---------------------------------------------------------------- signals

class Running:
    """A command in a process group of its own."""

    def __init__(self, sh, command, stdin=subprocess.DEVNULL):
        self.sh = sh
        self.process = subprocess.Popen(
            f"exec mc2 {command}", shell=True, cwd=sh.directory, env=sh.environment, start_new_session=True, stdin=stdin,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def wait_for(self, what):
        until(what, lambda: self.process.poll() is None)
        return self

    def ended(self):
        """(status, stderr), once every process of the group is gone."""
        _, stderr = self.process.communicate(timeout=60)
        until(lambda: not group(self.process.pid))
        return self.process.returncode, stderr.decode()


def group(pgid):
    """The processes of a group, without zombies: {pid: command line}"""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/cmdline") as command:
                state, _, its_group = stat.read().rpartition(")")[2].split()[:3]
                if int(its_group) == pgid and state != "Z":
                    found[int(pid)] = command.read()
        except OSError:
            pass                                # it ended meanwhile
    return found


def workers(running):
    return [pid for pid, command in group(running.process.pid).items() if "spawn_main" in command]


def in_the_middle(sh, options="-j 2"):
    """A run that has begun to write out.jsonl. Its input has no end, so it is in the middle whenever it is disturbed."""
    if not (sh / "big.jsonl").exists():
        pool(sh)
        os.mkfifo(sh / "endless.jsonl")
    threading.Thread(target=_feed, args=[sh / "endless.jsonl", (sh / "big.jsonl").read_bytes()], daemon=True).start()
    temporary = sh / ".out.jsonl.tmp"
    return Running(sh, f"lid endless.jsonl {options} -o out.jsonl").wait_for(
        lambda: temporary.exists() and temporary.stat().st_size > 0)


def _feed(path, lines):
    """Write the lines again and again, until nobody reads them any more."""
    with contextlib.suppress(BrokenPipeError), open(path, "wb", buffering=0) as pipe:
        while True:
            pipe.write(lines)


@pytest.mark.parametrize("number, status, message", [(signal.SIGINT, 130, "mc2 lid: interrupted.\n"),
                                                     (signal.SIGTERM, 143, "mc2 lid: terminated.\n")])
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_and_sigterm_leave_nothing_behind(sh, number, status, message, jobs):
    before = made(sh)
    running = in_the_middle(sh, f"-j {jobs}")
    os.killpg(running.process.pid, number) if number == signal.SIGINT else running.process.send_signal(number)
    assert running.ended() == (status, message)
    assert previous(sh) == before
    assert not (sh / ".out.jsonl.tmp").exists()


@pytest.mark.parametrize("moment", [
    lambda sh, running: workers(running), lambda sh, running: len(workers(running)) == 2,
    lambda sh, running: (sh / "dir/.copy.jsonl.tmp").exists(), lambda sh, running: (sh / "dir/copy.jsonl").exists(),
], ids=["one worker starts", "both start", "they write", "they go on"])
def test_ctrl_c_while_workers_start_and_while_they_write_shards(sh, moment):
    pool(sh, n=20_000)
    sh.ok("ln big.jsonl copy.jsonl; ln big.jsonl third.jsonl")
    running = Running(sh, "lid copy.jsonl big.jsonl third.jsonl -j 2 -O dir")
    running.wait_for(lambda: moment(sh, running))
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.ended() == (130, "mc2 lid: interrupted.\n")
    assert not [name for name in sh.files() if name.endswith(".tmp")]


def test_workers_end_with_a_killed_driver_and_the_next_run_takes_over(sh):
    running = in_the_middle(sh)
    running.process.kill()
    assert running.ended() == (-9, "")
    assert (sh / ".out.jsonl.tmp").exists() and not (sh / "out.jsonl").exists()
    sh.ok("mc2 lid big.jsonl -j 2 -o out.jsonl -q; mc2 lid big.jsonl -q | cmp - out.jsonl")
    assert not (sh / ".out.jsonl.tmp").exists()


def test_a_killed_worker_ends_the_run_with_a_clear_line(sh):
    before = made(sh)
    for worker in 0, 1:
        running = in_the_middle(sh)
        os.kill(workers(running)[worker], signal.SIGKILL)
        status, stderr = running.ended()
        assert (status, stderr.count("\n")) == (1, 1)
        assert "mc2 lid: a worker process was killed (out of memory?). Run again, with fewer --jobs." in stderr
        assert previous(sh) == before
        assert not (sh / ".out.jsonl.tmp").exists()


def test_of_two_runs_that_write_one_output_the_second_refuses(sh):
    sh.write("a.jsonl", A_PAIR)
    with files.open_write(sh / "out.jsonl") as first:
        sh.fails("mc2 lid a.jsonl -o out.jsonl", 1, "out.jsonl: another run is writing this output.")
        first.write(b"the first")
    assert (sh / "out.jsonl").read_bytes() == b"the first"


# ---------------------------------------------------------------- terminals

def on_a_terminal(sh, command, *streams):
    """(status, what the terminal shows) of a command with these streams on a terminal."""
    ours, theirs = pty.openpty()
    nowhere = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.DEVNULL)
    process = subprocess.Popen(f"exec {command}", shell=True, cwd=sh.directory, start_new_session=True,
                               env={**sh.environment, "TTY": os.ttyname(theirs)},
                               **{**nowhere, **dict.fromkeys(streams, theirs)})
    process.wait(timeout=60)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        pass                                    # all has been read
    os.close(ours)
    return process.returncode, shown.decode()


def test_no_input_on_a_terminal_shows_the_help(toy):
    for command in "lid", "match -m toy", "count -m toy -o new", "inspect":
        status, shown = on_a_terminal(toy, f"mc2 {command}", "stdin", "stderr")
        assert (status, "Usage: mc2" in shown) == (2, True)


def test_compressed_output_to_a_terminal_is_refused(sh):
    sh.write("a.jsonl", A_PAIR)
    for suffix in "zst", "gz":
        status, shown = on_a_terminal(sh, f"sh -c 'ln -s $TTY t.{suffix}; exec mc2 lid a.jsonl -o t.{suffix}'", "stderr")
        assert (status, shown) == (2, f"mc2 lid: t.{suffix}: refusing to write compressed data to a terminal.\r\n")


def test_progress_is_shown_on_a_terminal_only_and_q_silences_it(sh):
    pool(sh, n=3000)
    status, shown = on_a_terminal(sh, "mc2 lid big.jsonl -o out.jsonl", "stderr")
    assert status == 0 and " pairs" in shown and "\r" in shown and "lid: 3,000 pairs in" in shown
    assert on_a_terminal(sh, "mc2 lid big.jsonl -o out.jsonl -q", "stderr") == (0, "")
    assert sh("mc2 lid big.jsonl -o out.jsonl").stderr.count("\n") == 1


def test_v_shows_where_an_error_arose_also_in_a_worker(sh):
    for jobs in 1, 2:
        done = sh(f"mc2 lid -v -j {jobs}", b"{")
        assert done.status == 3 and "Traceback" in done.stderr and "mc2/pairs/" in done.stderr


def test_the_log_of_a_shard_says_where_an_error_arose(sh):
    pool(sh, n=4000)
    assert sh("ulimit -f 100; mc2 lid big.jsonl -j 2 -O dir").status == 1
    log = (sh / "dir/.work/logs/big.jsonl.log").read_text()
    assert "Traceback" in log and "in write" in log and "File too large" in log
