"""examples/curse: its pool, the statistics of its report, and the commands of its Makefile."""
import importlib
import math
import re
import shutil
import sys

import numpy as np
import orjson
import pytest

from conftest import CURSE_SETTINGS, ROOT, copy_of_examples, in_a_copy_of_the_examples
from mc2 import files
from shell import Shell

CURSE = ROOT / "examples" / "curse"


def load(name):
    """A module of examples/curse, which imports its neighbours."""
    before, others = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(CURSE))
    try:
        return importlib.import_module(name)
    finally:
        sys.path[:] = before
        for other in {"report", "runs"} & (set(sys.modules) - others):      # other examples have such names too
            del sys.modules[other]


draw_pool, runs, report, statistics = map(load, ("draw_pool", "runs", "report", "statistics_of_seeds"))


# ---------------------------------------------------------------- the pool

def test_the_sizes_of_languages_follow_zipfs_law():
    assert draw_pool.language_sizes(1000, 4, exponent=1) == [1000, 500, 333, 250]
    assert draw_pool.language_sizes(4000, 13) == [4000, 1625, 959, 660, 494, 389, 319, 268, 230, 200, 177, 158, 143]
    assert draw_pool.language_sizes(2, 4) == [2, 1, 1, 1]


def ids_by_lang(overlap, pictures=200):
    found = {}
    for lang, picture in draw_pool.pages_of(pictures, overlap, np.random.default_rng(0)):
        found.setdefault(lang, []).append(picture["id"])
    return found


def test_without_overlap_no_picture_is_in_two_languages_or_on_two_pages():
    ids = [picture_id for its_ids in ids_by_lang(0).values() for picture_id in its_ids]
    assert len(ids) == len(set(ids)) == sum(draw_pool.language_sizes(200, 13))


def test_with_full_overlap_other_languages_add_no_picture():
    english, *others = ids_by_lang(1).values()
    assert all(set(its_ids) < set(english) and len(its_ids) == len(set(its_ids)) for its_ids in others)


def test_overlap_is_the_share_of_pages_with_an_english_picture():
    found = ids_by_lang(0.25)
    english = set(found.pop("en"))
    for its_ids in found.values():
        assert sum(picture_id in english for picture_id in its_ids) == round(0.25 * len(its_ids))


def test_the_files_of_the_pool_keep_pictures_apart_by_language(curse_template):
    out = curse_template / "examples/curse/out/small-overlap-0"
    pages = [orjson.loads(line) for line in (out / "pages.jsonl").read_bytes().splitlines()]
    of_page = {page["id"]: page["lang"] for page in pages}
    assert len(of_page) == len(pages)
    langs = {}
    for folder in ("english", "non-english"):
        for path in sorted((out / folder).iterdir()):
            for _, line in files.read_lines(str(path)):
                pair = orjson.loads(line)
                if pair["matched_entry_ids"]:
                    assert (pair["lang"] == "en") == (folder == "english")
                    langs.setdefault(pair["id"], set()).add(pair["lang"])
    assert all(len(its_langs) == 1 for its_langs in langs.values())
    right = np.mean([its_langs == {of_page[picture_id]} for picture_id, its_langs in langs.items()])
    assert len(langs) > 0.8 * len(pages) and right > 0.95           # what is wrong, `mc2 lid` took for English


def test_every_language_names_every_class():
    for lang in draw_pool.LANGS:
        lines = list(draw_pool.names_of(lang))
        assert [line.split("\t")[0] for line in lines] == ["-".join(each) for each in draw_pool.draw.CLASSES]
    assert next(draw_pool.names_of("fr")).startswith("circle-red\tcercle rouge|un grand cercle rouge sur fond blanc|")


def test_an_overlap_that_is_no_share_is_refused(tmp_path):
    done = Shell(tmp_path).process(f"{sys.executable} {CURSE}/draw_pool.py -o out --overlap 2")
    assert done.status == 2 and "--overlap is a share, from 0 to 1." in done.stderr


# ---------------------------------------------------------------- statistics

@pytest.mark.parametrize("freedom, t", [(1, 12.7062), (2, 4.3027), (3, 3.1824), (7, 2.3646), (30, 2.0423)])
def test_quantiles_are_those_of_printed_tables(freedom, t):
    assert statistics.t_quantile(freedom) == pytest.approx(t, abs=5e-5)


def test_quantiles_and_intervals_are_scipys():
    stats = pytest.importorskip("scipy.stats")
    values = [0.31, 0.28, 0.35, 0.33, 0.25, 0.30, 0.29, 0.36]
    low, high = stats.t.interval(0.95, 7, np.mean(values), stats.sem(values))
    found = statistics.estimate(values)
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))
    assert [statistics.t_quantile(n) for n in range(1, 40)] == pytest.approx(stats.t.ppf(0.975, range(1, 40)))


def test_a_difference_is_paired_by_seed():
    found = statistics.difference({0: 0.3, 1: 0.5, 2: 0.4, 9: 1.0}, {2: 0.3, 1: 0.2, 0: 0.1, 7: 0.0})
    assert found.mean == pytest.approx(0.2) and found.n == 3           # 0.2, 0.3, 0.1: standard deviation 0.1
    assert found.half == pytest.approx(4.30265 * 0.1 / math.sqrt(3), rel=1e-5)
    assert found.sign == "~"


def test_greater_is_said_only_where_the_interval_leaves_out_zero():
    def sign(*values):
        return statistics.estimate(values).sign
    assert (sign(0.20, 0.21, 0.22), sign(-0.20, -0.21, -0.22), sign(0.01, 0.30, -0.02)) == (">", "<", "~")
    assert sign(0.5) == "~"                                             # one seed says nothing
    assert statistics.difference({0: 1.0}, {1: 1.0}) is None


# ---------------------------------------------------------------- the report

FOUND = {("small", "english"): {0: (0.50, 0.02), 1: (0.54, 0.02), 2: (0.52, 0.02)},
         ("small", "worldwide"): {0: (0.30, 0.20), 1: (0.33, 0.22), 2: (0.33, 0.21)},
         ("large", "english"): {0: (0.60, 0.02)}}


def scores(path, **of_lang):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps({"task": "zeroshot", "lang": lang, "metric": metric, "value": value}) + b"\n"
                              for lang, value in [*of_lang.items(), (None, 0.9)] for metric in ("top1",))
                     + orjson.dumps({"task": "zeroshot", "lang": "en", "metric": "top5", "value": 0.99}) + b"\n")


def test_scores_are_read_by_size_data_and_seed_as_english_and_the_mean_of_the_others(tmp_path):
    scores(tmp_path / "runs/small/english/0.jsonl", en=0.5, fr=0.02, zh=0.04)
    scores(tmp_path / "runs/small/one-t/11.jsonl", en=0.25, fr=0.5, zh=0.25)
    assert report.read(str(tmp_path)) == {("small", "english"): {0: (0.5, pytest.approx(0.03))},
                                          ("small", "one-t"): {11: (0.25, 0.375)}}


def test_runs_with_other_settings_do_not_stand_in_one_table(tmp_path):
    def run(data, lr):
        values = {"model": {"init_logit_scale": 2.7}, "optimizer": {"lr": lr}, "compute": {"precision": "fp32"},
                  "data": {"aug_scale": [0.9, 1.0], "image_interpolation": "bicubic"},
                  "schedule": {"warmup": 20, "lr_scheduler": "cosine", "epochs": 1}}
        (tmp_path / f"runs/small/{data}/0").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"runs/small/{data}/0/config.json").write_bytes(orjson.dumps({"architecture": {}, "values": values}))
    scores(tmp_path / "runs/small/english/0.jsonl", en=0.5, fr=0.02)
    scores(tmp_path / "runs/small/worldwide/0.jsonl", en=0.5, fr=0.02)
    run("english", 1e-3)
    run("worldwide", 1e-3)
    run("scaled", 3e-3)                         # is not scored yet
    report.refuse_mixed(str(tmp_path))
    run("worldwide", 3e-3)
    with pytest.raises(SystemExit, match="worldwide/0: was trained with another lr than .*/english/0, so they stand in no"):
        report.refuse_mixed(str(tmp_path))


def test_the_report_gives_means_and_paired_differences_with_intervals():
    text = "\n".join(report.report(FOUND, [2.5, 2.4]))
    assert "Growth, measured in what the runs drew: 2.400 to 2.500, 2 seeds." in text
    assert re.search(r"\nEnglish, 1.0x +3  52.0% \+- 5.0% +2.0% \+- 0.0%\n", text)
    assert re.search(r"\nEnglish, 1.0x +1  60.0% \(one seed\) ", text)
    assert re.search(r"English, 1.0x - worldwide, 1.0x: the curse.*\n.*\n +English +small +\+20.0% +2.5% +3 +>\n", text)
    assert re.search(r"\n +other languages +small +-19.0% +2.5% +3 +<", text)


def test_both_panels_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    for size in ("small", "large"):
        shutil.copy(CURSE / f"{size}.json", tmp_path)
    report.draw(FOUND, str(tmp_path), str(tmp_path / "figure.png"))
    assert (tmp_path / "figure.png").read_bytes()[:4] == b"\x89PNG"


# ---------------------------------------------------------------- the runs

def test_growth_is_that_of_the_last_line_of_the_log(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step":50}\n{"step":100,"growth":2.5}\n')
    multiplied = {data: runs.times(kind, str(tmp_path)) for data, kind in runs.DATA.items()}
    assert {data for data, factor in multiplied.items() if factor == 2.5} == {"scaled", "english-scaled"}
    assert multiplied["non-english"] == 1.5
    assert {multiplied[data] for data in ("english", "worldwide", "one-t", "b", "c")} == {1.0}


def commands(sh, *variables):
    """The runs that make would start: {size-seed: the command}"""
    printed = sh.ok(f"make -C examples/curse --dry-run {' '.join(variables)}").replace("\\\n", " ")
    found = re.findall(r"python (runs\.py .*)", printed)
    return {"-".join(re.search(r"--size (\S+) --seed (\S+)", line).groups()): " ".join(line.split()) for line in found}


@pytest.fixture(scope="module")
def examples_alone(tmp_path_factory):
    return in_a_copy_of_the_examples(tmp_path_factory)


def test_three_sizes_and_eight_seeds_see_all_data(examples_alone):
    for small, pairs in (("SMALL=1", "--pairs 12800 --batch 32"), ("", "--pairs 51200 --batch 64")):
        found = commands(examples_alone, small)
        assert set(found) == {f"{size}-{seed}" for size in ("small", "medium", "large") for seed in range(8)}
        assert all("--data worldwide,english,scaled,english-scaled,non-english,one-t " in line and pairs in line
                   and line.endswith("--device cpu --workers 0") for line in found.values())


def test_seeds_sizes_and_data_can_be_fewer(examples_alone):
    found = commands(examples_alone, "SMALL=1", "SEEDS=7", "SIZES=small", "DATA=english,one-t", "OVERLAP=0.5")
    assert list(found) == ["small-7"] and "out/small-overlap-0.5 " in found["small-7"]
    assert "--data english,one-t " in found["small-7"]


def test_a_gpu_takes_larger_pictures_and_ten_times_the_pairs_in_one_command(examples_alone):
    printed = examples_alone.ok("make -C examples/curse --dry-run DEVICE=cuda")
    assert "--pictures 40000 --overlap 0 --test 64 --side 32" in printed
    found = commands(examples_alone, "DEVICE=cuda")
    assert len(found) == 24 and all("--pairs 512000 --batch 512 --device cuda" in line for line in found.values())


def test_runs_of_other_settings_and_of_another_pool_are_refused(curse_template, tmp_path_factory):
    sh = copy_of_examples(curse_template, tmp_path_factory)
    done = sh(f"make -C examples/curse {CURSE_SETTINGS} PAIRS=672")
    assert done.status == 2 and "out/small-overlap-0: is of PICTURES=2000 OVERLAP=0 TEST=1 SIDE=8 P=0.06 PAIRS=336 " \
        "BATCH=16. Name another OUT=, or remove it." in done.stderr
    (sh / "examples/curse/out/small-overlap-0/runs").mkdir()
    sh.ok("touch examples/curse/draw_pool.py")
    done = sh(f"make -C examples/curse {CURSE_SETTINGS}")
    assert done.status == 2 and "has runs on a pool that another draw_pool.py drew. Remove it." in done.stderr


def test_a_step_that_was_killed_is_done_again_although_its_folder_is_there(curse_template, tmp_path_factory):
    sh = copy_of_examples(curse_template, tmp_path_factory)
    out = sh / "examples/curse/out/small-overlap-0"
    whole = {path.name: path.read_bytes() for path in (out / "english").iterdir()}
    (out / "done/english").unlink()
    (out / "english/pool-0003.jsonl.zst").unlink()
    printed = sh.ok(f"make -C examples/curse pool {CURSE_SETTINGS}")
    assert printed.count("python by_language.py") == 1 and "mc2 " not in printed
    assert whole == {path.name: path.read_bytes() for path in (out / "english").iterdir()}


@pytest.mark.heavy
def test_the_smallest_study_goes_through_make_and_goes_on_where_it_was(curse_template, tmp_path_factory):
    pytest.importorskip("open_clip")
    sh = copy_of_examples(curse_template, tmp_path_factory)
    make = f"make -C examples/curse {CURSE_SETTINGS} SIZES='small medium' JOBS=1 DATA=worldwide,english,scaled"
    printed = sh.ok(f"{make} SEEDS=0")
    out = sh / "examples/curse/out/small-overlap-0"
    logs = {data: orjson.loads((out / f"runs/small/{data}/0/log.jsonl").read_bytes().splitlines()[-1])
            for data in ("worldwide", "english", "scaled")}
    seen = {lang: row["seen"] for lang, row in logs["worldwide"]["languages"].items()}
    growth = logs["worldwide"]["growth"]
    assert growth == pytest.approx(336 / seen["en"], abs=1e-4) and 1.8 < growth < 3.5
    assert logs["english"]["languages"].keys() == {"en"} and logs["english"]["seen_pairs"] == 336
    assert logs["scaled"]["seen_pairs"] == 21 * round(16 * growth)      # as many steps of a larger batch
    assert re.search(r"\nEnglish, 1.0x +1 ", printed) and "worldwide, scaled - English, 1.0x" in printed
    before = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/*/*.jsonl")}
    assert len(before) == 6
    again = sh.ok(f"{make} SEEDS=0")
    assert "mc2 train" not in again and before == {path: path.stat().st_mtime_ns for path in before}
