"""What somebody else planted, wrote or named does no harm: no file of the user is touched, and no code runs.

Each attack is refused with a message that says what to do, or comes to nothing.
"""
import ast
import json
import os
import pickle
import subprocess
import tarfile
from pathlib import Path

import pytest
from conftest import ROOT, pair
from trouble import OnSlurm, Square

from mc2 import files, own, temporaries, terminal
from mc2.errors import BadData, BadUsage, Mc2Error
from mc2.execution import plans, slurm

PAIR = {"id": "1", "text": "a cat"}
CURATE = "mc2 curate a.jsonl -m toy --t-all 2 -o out -j 1"


@pytest.fixture
def home(sh):
    """A directory beside the outputs, with files that nobody must touch; a function that tells whether it is as it was."""
    os.makedirs(sh / "home/deep")
    (sh / "home/precious").write_text("precious")
    (sh / "home/deep/precious").write_text("precious")
    before = sh.files()
    names = {"home/precious", "home/deep/precious"}

    def is_untouched():
        now = sh.files()
        return {name: now.get(name) for name in names} == {name: before[name] for name in names} \
            and set(os.listdir(sh / "home")) == {"deep", "precious"} and os.listdir(sh / "home/deep") == ["precious"]
    return is_untouched


# ---------------------------------------------------------------- planted under the name of a temporary

PLANTS = {"is a link": lambda path: os.symlink("home/precious", path),
          "is a named pipe": os.mkfifo,
          "is the same file as another one": lambda path: os.link(path.parent / "home/precious", path),
          "is a directory": os.mkdir}


@pytest.mark.parametrize("what", PLANTS)
def test_a_planted_temporary_file_is_refused(sh, home, what):
    sh.write("a.jsonl", PAIR)
    PLANTS[what](sh / ".b.jsonl.tmp")
    sh.fails("mc2 lid a.jsonl --single en -o b.jsonl", 3, f".b.jsonl.tmp: {what}", "Nothing was touched", "remove it")
    assert home()


def test_a_planted_temporary_directory_is_refused(toy, home):
    sh = toy
    sh.ok("mc2 build-metadata pack toy -o release.tar.zst -q")
    os.symlink("home", sh / ".u.tmp")
    sh.fails("mc2 build-metadata unpack release.tar.zst -o u", 3, ".u.tmp: is a link", "Nothing was touched")
    assert home() and os.path.islink(sh / ".u.tmp")


def test_a_temporary_of_another_user_is_refused(tmp_path, monkeypatch):
    (tmp_path / ".a.tmp").write_text("theirs")
    (tmp_path / ".b.tmp").mkdir()
    tmp_path.chmod(0o1777)                  # as /tmp
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(BadData, match="belongs to another user"), files.open_write(tmp_path / "a"):
        pass
    with pytest.raises(BadData, match="belongs to another user"), files.open_directory(tmp_path / "b"):
        pass
    assert (tmp_path / ".a.tmp").read_text() == "theirs" and (tmp_path / ".b.tmp").is_dir()


def test_what_belongs_to_the_owner_of_its_directory_is_used(toy, monkeypatch):
    """By root in the output of a user, by a colleague, and where a file system says one owner for all."""
    toy.write("pool.jsonl", pair(1, "red", "en"))
    toy.ok("mc2 match pool.jsonl -m toy -O out -q")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    toy.write("pool.jsonl", pair(2, "red", "en"))
    toy.ok("mc2 match pool.jsonl -m toy -O out -q")
    assert [line["id"] for line in toy.read("out/pool.jsonl")] == [pair(2, "red")["id"]]


def test_a_copy_made_of_hard_links_is_gone_on_with(toy):
    toy.write("pool.jsonl", pair(1, "red", "en"))
    toy.ok("mc2 match pool.jsonl -m toy -O out -q && cp -al out copy && mc2 match pool.jsonl -m toy -O copy -q")
    toy.ok("mc2 match pool.jsonl -m toy -O out -q")


@pytest.mark.parametrize("what", PLANTS)
def test_what_is_planted_is_not_taken_for_what_a_killed_run_left(sh, home, what):
    PLANTS[what](sh / ".a.tmp")
    temporaries.discard_abandoned(sh / "a")
    assert home() and os.path.lexists(sh / ".a.tmp")


def test_a_link_within_a_temporary_directory_is_deleted_and_not_followed(toy, home):
    toy.ok("mc2 build-metadata pack toy -o release.tar.zst -q")
    os.makedirs(toy / ".u.tmp/inner")
    os.symlink("../home", toy / ".u.tmp/link")
    os.symlink("../../home", toy / ".u.tmp/inner/link")
    toy.ok("mc2 build-metadata unpack release.tar.zst -o u -q")
    assert home() and not os.path.lexists(toy / "u/link")


# ---------------------------------------------------------------- planted under other names of mc2

@pytest.mark.parametrize("planted, command", [
    ("out/.work", "mc2 lid a.jsonl --single en -O out"),
    ("out/.work/logs", "mc2 lid a.jsonl --single en -O out"),
    ("out/quarantine", "mc2 lid a.jsonl --single en -O out --on-error skip"),
    ("out/.join", "mc2 join a.jsonl --tars a.tar -O out -f"),
    ("s/.en.ngrams.work", "mc2 build-metadata ngrams --text --wiki en a.txt -o s"),
    ("s/.en.ngrams.work.finished", "mc2 build-metadata ngrams --text --wiki en a.txt -o s"),
    ("s/.titles.work", "mc2 build-metadata titles pageviews-20240101-000000.gz -o s"),
    ("out/.work", CURATE), ("out/matched", CURATE), ("out/curated", CURATE), ("out/logs", CURATE),
    ("out/.work/counts", CURATE), ("out/matched", f"{CURATE} -f"), ("out/.work/reduced", CURATE)])
def test_a_link_in_place_of_a_directory_of_mc2_is_refused(toy, home, planted, command):
    toy.write("a.jsonl", PAIR)
    (toy / "a.txt").write_text("a cat and a dog\n" * 9)
    toy.ok("echo 'en Cat 3 0' | gzip > pageviews-20240101-000000.gz")
    with tarfile.open(toy / "a.tar", "w"):
        pass
    toy.ok(command)
    toy.ok(f"rm -rf {planted}")
    os.symlink(toy / "home", toy / planted)
    done = toy(command)
    assert done.status == 3 and f"{planted}: is a link" in done.stderr and "Nothing was touched" in done.stderr
    assert home() and os.path.islink(toy / planted)


@pytest.mark.parametrize("planted", [
    "out/.work/progress.json.lock", "out/.work/shards-of-mc2", "out/.work/logs/a.jsonl.log",
    "out/.work/.progress.json.tmp", "out/.a.jsonl.tmp"])
def test_a_link_in_place_of_a_file_of_mc2_is_refused(sh, home, planted):
    sh.write("a.jsonl", PAIR)
    (sh / planted).parent.mkdir(parents=True, exist_ok=True)
    os.symlink(sh / "home/precious", sh / planted)
    done = sh("mc2 lid a.jsonl --single en -O out")
    assert done.status == 3 and f"{planted}: is a link" in done.stderr
    assert home()


@pytest.mark.parametrize("command", ["mc2 lid a.jsonl --single en -o out/a.jsonl", "mc2 lid a.jsonl --single en -O out"])
@pytest.mark.parametrize("plant", [lambda path: os.symlink("../home/precious", path), os.mkfifo])
def test_a_manifest_takes_the_place_of_what_was_planted(sh, home, plant, command):
    sh.write("a.jsonl", PAIR)
    sh.ok("mkdir -p out/.work && touch out/.work/shards-of-mc2")
    plant(sh / "out/a.jsonl.manifest.json")
    sh.ok(command)
    assert home() and json.loads((sh / "out/a.jsonl.manifest.json").read_bytes())["stage"] == "lid"
    assert not os.path.islink(sh / "out/a.jsonl.manifest.json")


@pytest.mark.parametrize("planted, command", [
    ("out/a.jsonl", "mc2 lid a.jsonl --single en -O out"), ("out/a.parquet", "mc2 lid a.parquet --single en -O out"),
    ("out/a.jsonl.zst", "mc2 join a.jsonl --tars a.tar -O out"),
    ("out/quarantine/a.jsonl.jsonl", "mc2 lid a.jsonl --single en -O out -f --on-error skip"),
    ("s/en.unigram.tsv", "mc2 build-metadata ngrams --text --wiki en a.txt -o s"),
    ("out/thresholds.json", CURATE), ("out/curated/a.jsonl", CURATE), ("out/.work/counts/a.jsonl.counts", CURATE)])
def test_an_output_whose_name_mc2_gives_takes_the_place_of_a_link(toy, home, planted, command):
    toy.write("a.jsonl", PAIR, *(["no JSON"] if "skip" in command else []))
    (toy / "a.txt").write_text("a cat and a dog\n" * 9)
    if "parquet" in command:
        pytest.importorskip("pyarrow")
        toy.ok("mc2 lid a.jsonl --single en -o a.parquet -q")
    with tarfile.open(toy / "a.tar", "w"):
        pass
    toy.ok(command)
    assert (toy / planted).exists()
    for path in (toy / planted, toy / f"{planted}.manifest.json"):
        path.unlink(missing_ok=True)
        os.symlink(toy / "home/precious", path)
    toy.ok(command)
    assert home() and not os.path.islink(toy / planted)


def test_a_log_of_training_is_not_written_through_a_link(tmp_path):
    from mc2.training import metrics
    (tmp_path / "precious").write_text("precious")
    os.link(tmp_path / "precious", tmp_path / "log")
    with pytest.raises(BadData, match="the same file as another one"):
        own.open_file(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.symlink("precious", tmp_path / "log.jsonl")
    metrics.cut_off(tmp_path / "log.jsonl", 0)                  # which a run does before it writes
    assert (tmp_path / "precious").read_text() == "precious" and not os.path.islink(tmp_path / "log.jsonl")


def test_a_run_with_a_link_in_place_of_its_checkpoints_is_refused(tmp_path):
    os.symlink("elsewhere", tmp_path / "checkpoints")
    with pytest.raises(BadData, match="checkpoints: is a link, and what mc2 writes and removes there"):
        own.refuse_link(tmp_path / "checkpoints")


def test_a_cache_of_another_user_is_not_used(toy, monkeypatch):
    from mc2.commands.eval import shared
    os.makedirs(toy / "cache/mc2/matchers")
    os.makedirs(toy / "cache/mc2/features")
    (toy / "cache/mc2").chmod(0o1777)       # everybody may write there
    monkeypatch.setenv("XDG_CACHE_HOME", str(toy / "cache"))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    for use in (shared.default_cache, lambda: own.is_there(files.user_cache("matchers"))):
        with pytest.raises(BadData, match="belongs to another user"):
            use()


def test_an_output_that_is_a_link_of_this_user_stays_one_and_that_of_another_is_refused(tmp_path, monkeypatch):
    (tmp_path / "target").write_text("before")
    os.symlink("target", tmp_path / "link")
    files.write_bytes(tmp_path / "link", b"after")
    assert os.path.islink(tmp_path / "link") and (tmp_path / "target").read_text() == "after"
    if os.getuid() == 0:                                        # links of root are followed
        os.lchown(tmp_path / "link", 1000, 1000)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    for refused in (files.open_write, files.open_directory):
        with pytest.raises(BadData, match="is a link that another user made"), refused(tmp_path / "link"):
            pass
    assert (tmp_path / "target").read_text() == "after"


# ---------------------------------------------------------------- code in data

PICKLED_IN = {"mc2/execution/processes.py", "mc2/execution/worker.py", "mc2/execution/ray.py"}
ONLY_ITS_ERRORS = {"mc2/clip/checkpoints.py"}
RUNS_CODE = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}


def sources():
    """{name of a module: its syntax tree}"""
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8")) for path in (ROOT / "mc2").rglob("*.py")}


def calls(tree):
    """{(function as it is written, arguments by name as they are written)} of all calls in a syntax tree."""
    return [(ast.unparse(node.func), {each.arg: ast.unparse(each.value) for each in node.keywords})
            for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_only_processes_of_one_run_send_one_another_pickles():
    found = {name for name, tree in sources().items() for node in ast.walk(tree)
             if isinstance(node, ast.Import) and RUNS_CODE & {alias.name.split(".")[0] for alias in node.names}
             or isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in RUNS_CODE}
    assert found - ONLY_ITS_ERRORS == PICKLED_IN
    for name, tree in sources().items():
        assert not {"pickle.load", "pickle.dump", "pickle.Unpickler"} & {call for call, _ in calls(tree)}, name


def test_weights_and_arrays_are_read_without_code():
    for name, tree in sources().items():
        for call, arguments in calls(tree):
            assert call != "torch.load" or arguments.get("weights_only") == "True", name
            assert call not in ("np.load", "numpy.load") or arguments.get("allow_pickle") == "False", name
            assert "trust_remote_code" not in arguments and call not in ("eval", "exec"), name


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


def test_a_plan_of_slurm_that_is_a_pickle_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("square.plan").write_bytes(pickle.dumps(("0.1.0", Harmful(), [[1]])))
    with pytest.raises(BadData, match="square.plan: is damaged"):
        slurm.do_group("square.plan", 0)
    assert not Path("harmed").exists()


@pytest.mark.parametrize("planted", [
    ["object", "os:system", None], ["class", "subprocess:Popen"], ["named", "mc2.cli:main", []], ["eval", "1"],
    ["method", ["dict", []], "clear"], ["object", "mc2.files:os.system", None],
    ["named", "mc2.files:write_bytes", ["a", "b"]],
    {"py/object": "os.system"}])
def test_a_plan_names_classes_of_mc2_only(planted):
    with pytest.raises(BadData, match="no task of mc2"):
        plans.restored(planted)


def test_a_plan_that_is_a_link_is_refused(tmp_path):
    script = OnSlurm(tmp_path / "slurm", groups=1, print_only=True).write(Square(tmp_path), [1])
    plan = tmp_path / "slurm/square.plan"
    plan.rename(tmp_path / "elsewhere")
    os.symlink("../elsewhere", plan)
    done = subprocess.run(["bash", script], env={**os.environ, "SLURM_ARRAY_TASK_ID": "0",
                                                 "PYTHONPATH": f"{ROOT / 'tests'}"}, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 3 and "square.plan: is a link" in done.stderr and not (tmp_path / "1.txt").exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"[1]", b"{}", b'{"status": [], "message": 1, "errno": {}}'])
def test_a_damaged_error_of_a_task_is_no_error_of_the_driver(tmp_path, content):
    (tmp_path / "error.json").write_bytes(content)
    assert isinstance(slurm._read_error(tmp_path / "error.json"), Mc2Error)


@pytest.mark.parametrize("name", ["multiprocessing", "json", "torch"])
def test_worker_processes_import_nothing_from_the_current_directory(sh, name):
    sh.write("a.jsonl", PAIR)
    (sh / f"{name}.py").write_text("import os; os.mkdir('harmed')")
    assert sh.process("mc2 lid a.jsonl --single en -j 2 -O out").status == 0
    assert not (sh / "harmed").exists()


def test_a_checkpoint_with_code_is_refused_in_our_own_words(sh):
    torch = pytest.importorskip("torch")
    torch.save({"kind": "mc2 checkpoint", "more": Harmful()}, sh / "step.pt")
    for command in ("checkpoint show step.pt", "checkpoint export step.pt -o w.pt",
                    "checkpoint import step.pt --model tiny --tokenizer openai -o w.pt"):
        done = sh(f"mc2 {command}")
        assert done.status == 3 and "holds pickled objects beside tensors and plain values" in done.stderr
        assert "could run code" in done.stderr
        assert "weights_only" not in done.stderr and "trust the source" not in done.stderr
    assert not (sh / "harmed").exists()


# ---------------------------------------------------------------- terminals

HOSTILE = "x\x1b]0;title\x07\x9b31m\u202egnp.\u2028\r\n"
SHOWN = "x\\u001b]0;title\\u0007\\u009b31m\\u202egnp.\\u2028\\u000d\\u000a"
UNSEEN = set(HOSTILE) - set("x]0;title31mgnp.\n")


def shows_no_controls(text):
    return not UNSEEN & set(text)


def test_a_message_is_one_line_without_what_a_terminal_carries_out(sh, capsys):
    terminal.say(f"{HOSTILE}: no such file.")
    assert capsys.readouterr().err == f"{SHOWN}: no such file.\n"
    terminal.show_row("to do", HOSTILE)
    assert capsys.readouterr().out == f"to do\t{SHOWN}\n"


@pytest.mark.parametrize("options", ["", "-v", "-q"])
def test_names_of_files_are_escaped_in_messages_and_receipts(sh, options):
    os.mkdir(sh / HOSTILE)
    sh.write(f"{HOSTILE}/a.jsonl", PAIR)
    sh.write(f"{HOSTILE}/bad.jsonl", "no JSON")
    for name, status in (("a", 0), ("bad", 3), ("missing", 2)):
        done = sh.process(f"mc2 lid */{name}.jsonl --single en {options} -o {name}.out" if name != "missing"
                          else f'mc2 lid "$(echo *)/{name}.jsonl" --single en {options}')
        assert done.status == status and shows_no_controls(done.stderr)
    done = sh.process(f"mc2 lid */*.jsonl --single en {options} -O out")
    assert done.status == 3 and shows_no_controls(done.stderr)
    assert shows_no_controls(sh.process("mc2 status out").stdout)
    assert all(shows_no_controls(path.read_text()) for path in (sh / "out/.work/logs").rglob("*.log"))


def test_ids_texts_keys_and_languages_are_escaped_for_people_and_exact_for_programs(sh):
    record = {"id": HOSTILE, "text": HOSTILE, "lang": HOSTILE, HOSTILE: 1}
    sh.write("a.jsonl", record)
    shown = sh.ok("mc2 inspect a.jsonl")
    assert shows_no_controls(shown) and SHOWN in shown
    assert json.loads(sh.ok("mc2 lid a.jsonl --single en"))["text"] == HOSTILE


def test_what_is_printed_for_people_goes_through_one_module():
    for name, tree in sources().items():
        for call, arguments in calls(tree):
            if name != "mc2/terminal.py":
                assert call not in ("print_exc", "traceback.print_exc", "sys.stderr.write", "click.secho"), name
                assert not (call == "print" and "file" in arguments), name


# ---------------------------------------------------------------- scripts

BREAKS = ["\n", "\r", "\x0b", "\x85", "\u2028"]


@pytest.mark.parametrize("line_break", BREAKS)
def test_a_line_break_in_an_option_or_directory_of_slurm_is_refused(tmp_path, line_break):
    with pytest.raises(BadUsage, match="--slurm-option .* holds a line break"):
        slurm.Slurm(tmp_path, [f"--partition=cpu{line_break}touch injected"], print_only=True)
    with pytest.raises(BadUsage, match="the output directory .* holds a line break"):
        slurm.Slurm(f"{tmp_path}/o{line_break}touch injected", print_only=True)


@pytest.mark.parametrize("name", ['o" --wrap="touch injected', "o\\"])
def test_a_directory_cannot_end_the_quotes_of_a_line_for_sbatch(tmp_path, name):
    with pytest.raises(BadUsage, match="the output directory"):
        slurm.Slurm(tmp_path / name, print_only=True)


def test_what_is_read_as_an_earlier_job_is_a_number(tmp_path):
    executor = slurm.Slurm(tmp_path, print_only=True)
    (tmp_path / "job").write_text('{"job": "--user=me"}')
    with pytest.raises(BadData, match="job: does not hold the number of a job"):
        executor._cancel_earlier()


@pytest.mark.parametrize("more", [{"name": "a\ntouch injected"}, {"name": "$(touch injected)"}, {"name": "a' b"}])
def test_a_name_of_a_preset_does_no_harm_in_a_script(tmp_path, more):
    from mc2.training import launch
    script = launch.slurm_script(["run\n.toml"], **{"nodes": 1, "per_node": 1, "cpus": 1, "time": "1:00", **more})
    lines = script.split("\n")
    assert lines[1].startswith("#SBATCH --job-name=") and lines[2] == "#SBATCH --nodes=1"
    assert not set(lines[1].split("=")[1]) & set(" '$()")


@pytest.mark.parametrize("time", ["1:00\ntouch injected", "", "1:00 --wrap=x", "1h"])
def test_a_time_that_is_none_is_refused(time):
    from mc2.training import launch
    with pytest.raises(BadUsage, match="is no time of sbatch"):
        launch.slurm_script(["run.toml"], name="a", nodes=1, per_node=1, cpus=1, time=time)


def test_a_command_that_a_message_proposes_is_quoted(sh, monkeypatch):
    tokenizers = pytest.importorskip("tokenizers")
    from mc2.clip.tokenizers import _from_hub

    def refuse(name):
        raise OSError("offline")
    monkeypatch.setattr(tokenizers.Tokenizer, "from_pretrained", staticmethod(refuse))
    with pytest.raises(Mc2Error) as error:
        _from_hub("$(touch injected)'); import os #\"")
    program = str(error.value).partition("make one: ")[2].replace("python -c", "echo")
    sh.ok("bash", stdin=program.encode())
    assert not (sh / "injected").exists()


@pytest.mark.skipif(not os.path.exists("/usr/bin/make"), reason="no make")
@pytest.mark.parametrize("command", [
    "-f {}/release.mk", "-f {}/Makefile release", "-f {}/Makefile MIRROR=mirror", "-f {}/Makefile crawl CRAWL='mirror/*'"])
def test_names_in_a_mirror_run_nothing(sh, command):
    sh.ok("mkdir mirror wordnets")
    (sh / "mirror/enwiki-$(shell${IFS}touch${IFS}injected)-pages-articles-multistream.xml.bz2").touch()
    done = sh.process(f"make -n {command.format(ROOT / 'examples/worldwide')}")
    assert not (sh / "injected").exists()
    assert "CRAWL" in command or done.status and "hold other characters" in done.stderr
