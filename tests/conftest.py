"""What the tests share: a shell, a toy release, one way of drawing random examples."""
import os
import resource
import shutil
import signal
import sys

import pytest
from hypothesis import HealthCheck, settings
from shell import ROOT, Shell, line_of, until  # noqa: F401
from training_tools import require_train

DATA = ROOT.parent / "shared" / "data"          # real data; tests that use it skip where it is absent

# how long an example takes, or its making, depends on what else the machine does
settings.register_profile("mc2", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mc2")

resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))     # no dumps in the checkout

# As in a terminal, also where nohup or `&` has these ignored, which mc2 would respect.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

os.fsync = os.fstat         # only a machine that loses its power would show the difference, and it takes much time


def pytest_make_parametrize_id(val, argname):
    """Bytes do not name a test: where they hold the time, as those of gzip do, processes would not find the same tests."""
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests of one file run in one process, one after another; so do all that start SLURM, as its daemons have ports."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "slurm" if "slurm" in file else file

    return ByFile(config, log)


@pytest.fixture
def sh(tmp_path):
    return Shell(tmp_path)


@pytest.fixture(scope="session")
def toy_template(tmp_path_factory):
    sh = Shell(tmp_path_factory.mktemp("toy"))
    sh.write("en.json", '["red", "red circle", "circle", "cat", "a", "U.S."]')
    sh.write("fr.json", '["chat", "un", "chat noir"]')
    sh.ok("mc2 build-metadata import en.json --lang en -o sources -q")
    sh.ok("mc2 build-metadata import fr.json --lang fr -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o toy -q")
    before = sh.files()
    yield sh.directory
    assert sh.files() == before, "a test wrote into the template of all others"


def filled(sh, template):
    """The Shell, once its directory holds what is in a template. The lists of languages that have nothing but the
    numbers are links to the template's, as a hundred tests want them: replace them, do not write into them."""
    def link_or_copy(source, target):
        stem, suffix = os.path.splitext(os.path.basename(source))
        of_numbers = suffix in (".tsv", ".matcher") and "." not in stem and stem not in ("en", "fr")
        (os.link if of_numbers else shutil.copy2)(source, target)

    shutil.copytree(template, sh.directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".bin"),
                    copy_function=link_or_copy)
    return sh


@pytest.fixture
def toy(sh, toy_template):
    """A Shell whose directory holds the release `toy`: lists of English and French, the numbers for all others."""
    return filled(sh, toy_template)


@pytest.fixture(scope="session")
def examples_template(tmp_path_factory):
    """A Shell in a copy of the examples, with a fifth of the demo's pictures, and its metadata."""
    sh = in_a_copy_of_the_examples(tmp_path_factory)
    sh.ok("cd examples/demo && python draw.py -o out --pictures 300 && mkdir out/done && touch out/done/pool && make -j2 out/metadata")
    return sh


CURSE_SETTINGS = "SMALL=1 PICTURES=2000 TEST=1 SIDE=8 PAIRS=336 BATCH=16"


@pytest.fixture(scope="session")
def curse_template(tmp_path_factory):
    """A Shell in a copy of the examples, with half of the pool of examples/curse in tiny pictures, and its curation."""
    require_train()                             # for its tokenizer
    sh = in_a_copy_of_the_examples(tmp_path_factory)
    sh.ok(f"make -C examples/curse pool {CURSE_SETTINGS}")
    return sh


def in_a_copy_of_the_examples(tmp_path_factory):
    sh = for_examples(tmp_path_factory.mktemp("examples"))
    shutil.copytree(ROOT / "examples", sh / "examples", ignore=shutil.ignore_patterns("out"))
    return sh


def for_examples(directory):
    """A Shell whose `python` imports this mc2 and the scripts of examples, and whose `make` is of no make around us."""
    sh = Shell(directory)
    (sh / ".bin/python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (sh / ".bin/python").chmod(0o755)
    sh.environment["PYTHONPATH"] = str(ROOT)
    for name in [name for name in sh.environment if name.startswith(("MAKE", "MFLAGS"))]:
        del sh.environment[name]
    return sh


@pytest.fixture(scope="module")
def examples(examples_template, tmp_path_factory):
    """A copy of that for the tests of a module."""
    return copy_of_examples(examples_template, tmp_path_factory)


def copy_of_examples(template, tmp_path_factory):
    """A Shell in a copy of another one's examples, in which make finds nothing to do again."""
    sh = for_examples(tmp_path_factory.mktemp("examples"))
    shutil.copytree(template / "examples", sh / "examples")
    return sh


@pytest.fixture(scope="session")
def artefacts_template(toy_template, tmp_path_factory):
    sh = filled(Shell(tmp_path_factory.mktemp("artefacts")), toy_template)
    sh.write("m.jsonl", pair(1, "a red circle", "en", [0, 1, 2, 4]))
    sh.write("other-en.json", '["blue", "red"]')
    sh.ok("mc2 count m.jsonl -m toy -o counts -q && mc2 thresholds counts --p 0.5 -o t.json -q")
    sh.ok("mc2 build-metadata import other-en.json --lang en --replace -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o other -q")
    sh.ok("mc2 match m.jsonl -m other -o other.jsonl -q && mc2 count other.jsonl -m other -o other-counts -q")
    sh.ok("mc2 thresholds other-counts --p 0.5 -o other.json -q")
    before = sh.files()
    yield sh.directory
    assert sh.files() == before, "a test wrote into the template of others"


@pytest.fixture
def artefacts(sh, artefacts_template):
    """A Shell with the release `toy`, the matched pair m.jsonl, its `counts` and t.json; beside them the release
    `other`, with other.jsonl, other-counts and other.json."""
    return filled(sh, artefacts_template)


def pair(number, text, lang=None, ids=None, **more):
    """A pair, as far as it has come."""
    record = {"id": f"{number:024x}", "text": text, **more}
    if lang is not None:
        record["lang"] = lang
    if ids is not None:
        record["matched_entry_ids"] = ids
    return record
