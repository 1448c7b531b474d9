"""What every command that reads pairs does alike: each behaviour once, for all of them.

A new command that reads pairs is a line of READERS.
"""
import gzip
import io
import os
import tarfile
from dataclasses import dataclass

import click
import pytest
import zstandard
from conftest import Shell, line_of, pair

from mc2.cli import COMMANDS, cli

PAIR = pair(1, "a red circle", "en", [0, 1, 2, 4])          # each command takes it: it has been through all stages
LINES = b"".join(line_of(pair(i, f"text {i * 7919 % 1000}", "en", [0])) + b"\n" for i in range(2000))
ZST = zstandard.ZstdCompressor(write_checksum=True).compress(LINES)
GZ = gzip.compress(LINES, mtime=0)


@dataclass
class Reader:
    name: str
    options: str
    output: str = "-o out.jsonl"

    def __call__(self, inputs, more="", output=None):
        """A command line that reads these inputs."""
        return f"mc2 {self.name} {inputs} {self.options} {self.output if output is None else output} {more}"

    @property
    def writes_a_file(self):
        return self.output == "-o out.jsonl"


ALL_PAIRS = """\
from mc2.execution.stage import Stage

class All(Stage):
    def __call__(self, batch):
        pass
"""

READERS = [
    Reader("lid", ""),
    Reader("match", "-m toy"),
    Reader("count", "-m toy", "-o out"),
    Reader("sample", "-c counts -t t.json"),
    Reader("filter pairs", "--with all_pairs:All"),
    Reader("filter score", "--words words=words.txt"),
    Reader("filter apply", "--block-ids words.txt"),
    Reader("join", "--tars 0.tar", "-O out"),
]
each = pytest.mark.parametrize("command", READERS, ids=lambda reader: reader.name)
each_that_writes_a_file = pytest.mark.parametrize(
    "command", [reader for reader in READERS if reader.writes_a_file], ids=lambda reader: reader.name)


@pytest.fixture
def sh(tmp_path, artefacts_template):
    """A Shell with all that the commands need, and with a pair, a.jsonl."""
    sh = Shell(tmp_path)
    for name in "toy", "counts", "t.json":
        (sh / name).symlink_to(artefacts_template / name)
    with tarfile.open(sh / "0.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(f"{PAIR['id']}.jpg"), io.BytesIO())
    sh.write("a.jsonl", PAIR)
    (sh / "all_pairs.py").write_text(ALL_PAIRS)
    sh.write("words.txt", "none of them")
    return sh


@pytest.fixture
def made(sh, command):
    """The same, with a previous output of the command: `fails` sees that it stays."""
    sh.ok(command("a.jsonl", "-q"))
    return sh


def test_the_table_has_every_command_that_reads_pairs():
    """But curate, a job over the shards of a pool, extract, which reads pages, and those that read all shards together: they
    have tests of their own."""
    def reads_pairs(path):
        command = cli
        for name in path.split():
            command = command.get_command(None, name)
        return {"inputs", "on_error"} <= {param.name for param in command.params}
    found = {path.strip() for path in all_commands() if reads_pairs(path)}
    assert {reader.name for reader in READERS} | {"curate", "extract", "dedup urls", "images plan"} == found


def all_commands(group=cli, path=""):
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        yield f"{path} {name}"
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{path} {name}")


@pytest.mark.parametrize("path", ["", *all_commands()])
def test_h_shows_how_a_command_is_called(tmp_path, path):
    sh = Shell(tmp_path)
    done = sh(f"mc2{path} -h")
    assert (done.status, done.stderr) == (0, "") and done.stdout.startswith(f"Usage: mc2{path} ")
    assert sh.ok(f"mc2{path} --help") == done.stdout


# ---------------------------------------------------------------- lines

@each
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("data", [b"", b"\n \n\t\r\n"], ids=["nothing", "blank lines"])
def test_an_empty_input_is_a_valid_empty_stream(sh, command, jobs, data):
    done = sh(command("-", f"-j {jobs}"), data)
    assert (done.status, done.stdout) == (0, "") and " 0 pairs in" in done.stderr


@each
def test_an_empty_compressed_file_is_a_valid_empty_stream(sh, command):
    (sh / "e.jsonl.zst").write_bytes(zstandard.compress(b""))
    (sh / "e.jsonl.gz").write_bytes(gzip.compress(b""))
    assert " 0 pairs in" in sh(command("e.jsonl.zst e.jsonl.gz")).stderr


@each
def test_blank_lines_are_skipped_and_the_last_newline_may_be_missing(sh, command):
    (sh / "b.jsonl").write_bytes(b"\n \t\n" + line_of(PAIR) + b"\r\n\n" + line_of(PAIR))
    done = sh(command("b.jsonl"))
    assert done.status == 0 and " 2 pairs in" in done.stderr


@each
@pytest.mark.parametrize("line, message", [
    (b"nonsense", "not JSON."),
    (b'{"text":"t"}', 'no "id" key. Every pair needs an image id.'),
    (b'{"id":"a"}', 'no "text" key. Every pair needs its alt-text.'),
    (b'{"id":"a","text":7}', '"text" is not a string.'),
    (b'{"id":"a","text":"\xff"}', "not UTF-8. The byte at column 19 is wrong."),
    (b'{"id":"a","text":"\\ud800"}', "not JSON."),
    (b'{"id":"a","text":"","n":NaN}', "not JSON."),
    (b'\xef\xbb\xbf{"id":"a","text":""}', "starts with a byte order mark."),
    (b"\x28\xb5\x2f\xfd\x04", "not JSON but compressed data."),
])
def test_a_bad_line_is_named_and_stops_the_run(made, command, line, message):
    made.write("bad.jsonl", PAIR, b"", line)
    done = made.fails(command("bad.jsonl"), 3)
    assert done.stderr.startswith(f"mc2 {command.name}: bad.jsonl:3: {message}")


@each
def test_a_bad_line_of_stdin_and_of_a_worker_is_named_the_same(made, command):
    for jobs in 1, 2:
        made.fails(command("-", f"-j {jobs}"), 3, f"mc2 {command.name}: <stdin>:2: not JSON.",
                   stdin=line_of(PAIR) + b"\n{\n")


@each
def test_bad_lines_can_be_skipped_counted_and_kept_as_they_are(sh, command):
    bad = [b"{", b'{"id":"b","text":"\xff\xfe"}', b'  {"id": 1}', b'  {"id": 1.5, "text": "t"}']
    sh.write("bad.jsonl", bad[0], PAIR, b"", *bad[1:])
    done = sh(command("bad.jsonl", "--on-error skip"))
    assert done.status == 0 and "1 bad lines skipped (not UTF-8)" in done.stderr and done.stderr.count("\n") == 1
    for jobs in 1, 2:
        sh.ok(f"rm -r {command.output.split()[1]}; {command('bad.jsonl', f'--rejects r.jsonl -j {jobs} -q')}")
        assert (sh / "r.jsonl").read_bytes() == b"\n".join(bad) + b"\n"


# ---------------------------------------------------------------- compressed files

def cuts(data):
    return [data[:n] for n in (0, 9, len(data) // 2, len(data) - 1)]


@each
@pytest.mark.parametrize("suffix, datas", [("zst", [*cuts(ZST), ZST + ZST[:-2]]), ("gz", cuts(GZ))], ids=["zst", "gz"])
def test_a_cut_off_file_is_an_error_not_an_early_end(made, command, suffix, datas):
    for data in datas:
        (made / f"cut.jsonl.{suffix}").write_bytes(data)
        made.fails(command(f"cut.jsonl.{suffix}"), 3,
                   f"mc2 {command.name}: cut.jsonl.{suffix}: the compressed data is cut off.")


@each
@pytest.mark.parametrize("suffix, data", [("zst", ZST), ("gz", GZ)], ids=["zst", "gz"])
def test_a_damaged_file_is_an_error(made, command, suffix, data):
    middle = len(data) // 2
    (made / f"bad.jsonl.{suffix}").write_bytes(data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1:])
    made.fails(command(f"bad.jsonl.{suffix}"), 3,
               f"mc2 {command.name}: bad.jsonl.{suffix}: the compressed data is damaged")


# ---------------------------------------------------------------- names

@each
def test_an_input_that_is_not_there_or_is_no_file_of_pairs_is_refused(made, command):
    (made / "folder").mkdir()
    made.fails(command("a.jsonl none.jsonl"), 2, f"mc2 {command.name}: ", "none.jsonl: no such file.")
    made.fails(command("@none.txt"), 2, "none.txt: cannot read the list")
    made.fails(command("- -"), 2, "stdin (-) is named twice")
    if command.name != "count":                                     # which adds directories of counts
        made.fails(command("folder"), 2, f"mc2 {command.name}: folder: is a directory.")


@each
def test_an_output_that_is_an_input_or_another_output_is_refused(made, command):
    os.symlink("a.jsonl", made / "link.jsonl")
    for output in "a.jsonl", "link.jsonl":
        made.fails(command("a.jsonl", f"--rejects {output}"), 2, f"{output}: is an input too")
        if command.writes_a_file:
            made.fails(command("a.jsonl", output=f"-o {output}"), 2, f"{output}: is an input too")
    if command.writes_a_file:
        made.fails(command("a.jsonl", output="-O ."), 2, "is an input too")
        made.fails(command("a.jsonl", "--rejects out.jsonl"), 2, "is another output too")
        made.fails(command("a.jsonl", "--dropped a.jsonl"), 2, "is an input too")
        made.fails(command("a.jsonl", "--dropped r.jsonl --rejects r.jsonl"), 2, "is another output too")


@each
def test_an_output_that_holds_something_else_is_refused(sh, command):
    sh.write("mine/notes.txt", "precious")
    option = command.output.split()[0]
    sh.fails(command("a.jsonl", output=f"{option} mine"), 2, f"mc2 {command.name}: mine: ",
             "is a directory" if command.writes_a_file else "is not empty")
    if not command.writes_a_file:
        sh.fails(command("a.jsonl", output=f"{option} a.jsonl"), 2, "a.jsonl: is")


@each
def test_an_output_that_cannot_be_made_is_an_error(sh, command):
    """Its directory would have to be a file."""
    option = command.output.split()[0]
    sh.fails(command("a.jsonl", output=f"{option} a.jsonl/out"), 1, f"mc2 {command.name}: ", "a.jsonl")


@each
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission_is_an_error(sh, command):
    (sh / "locked").mkdir(0o555)
    option = command.output.split()[0]
    sh.fails(command("a.jsonl", output=f"{option} locked/out"), 1, "locked/", "Permission denied.")


# ---------------------------------------------------------------- the disk, the pipe: in processes of their own

@each
def test_a_full_disk_keeps_the_previous_output(made, command):
    made.write("big.jsonl", *(pair(1, os.urandom(200).hex(), "en", [0]) for _ in range(30)))    # less than any buffer
    made.fails(f"ulimit -f 1; {command('big.jsonl')}", 1, "File too large.")


@each_that_writes_a_file
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_stdout_that_is_full_is_an_error(sh, command):
    sh.fails(f"{command('a.jsonl', output='')} > /dev/full", 1, "No space left on device.")
    sh.fails(command("a.jsonl", output="-o /dev/full"), 1, "/dev/full: No space left on device.")


@each_that_writes_a_file
def test_a_reader_that_was_never_there_ends_the_run_quietly(sh, command):
    read, write = os.pipe()
    os.close(read)
    done = sh.process(f"exec {command('a.jsonl', output='')}", stdout=write)
    os.close(write)
    assert (done.status, done.stderr) == (141, "")


# ---------------------------------------------------------------- options

@pytest.mark.parametrize("command, option", [
    ("thresholds counts --t-en 10 --t-en 50", "--t-en"), ("match a.jsonl -m toy -m other", "--metadata"),
    ("lid a.jsonl -o a -o b", "--output"), ("lid a.jsonl -j2 -j 2", "--jobs"),
    ("sample a.jsonl -c counts -t t.json --seed 1 --seed=2", "--seed"),
    ("build-metadata merge sources -o a --output b", "--output"), ("images pack photos -O a -O b", "--output-dir"),
    ("inspect languages --scheme nllb --scheme nllb", "--scheme"), ("checkpoint export run -o a -o b", "--output"),
    ("eval zeroshot --model a --model b", "--model")])
def test_an_option_of_one_value_that_is_given_twice_is_refused(sh, command, option):
    sh("mkdir counts")
    sh.fails(f"mc2 {command}", 2, f"{option} is given 2 times, and takes one value. Give it once.")


def test_an_option_of_several_values_may_be_given_several_times(sh):
    sh.write("a.jsonl", {"uid": "1", "caption": "a red circle"})
    assert '"id":"1"' in sh.ok("mc2 lid a.jsonl --columns id=uid --columns text=caption -q -q")
