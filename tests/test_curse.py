"""examples/curse: its report on any scores, the pairs that it trains on, and the commands of its Makefile."""
import importlib.util
import os
import shutil
import subprocess

import orjson
import pytest

from conftest import ROOT

CURSE = ROOT / "examples" / "curse"


def load(name):
    spec = importlib.util.spec_from_file_location(f"curse_{name}", CURSE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


report = load("report")


def scores(en, fr, zh):
    return {lang: {"held_out": value} for lang, value in (("en", en), ("fr", fr), ("zh", zh))}


CURSED = {("small", "english"): [scores(0.50, 0.02, 0.04), scores(0.54, 0.02, 0.02)],
          ("small", "worldwide"): [scores(0.30, 0.20, 0.30), scores(0.30, 0.20, 0.30)],
          ("small", "one-t"): [scores(0.30, 0.10, 0.20), scores(0.28, 0.10, 0.20)],
          ("small", "scaled"): [scores(0.53, 0.40, 0.50), scores(0.52, 0.40, 0.50)]}


def test_accuracies_are_those_of_english_and_the_mean_of_the_others():
    english, others = report.accuracies(CURSED["small", "english"])
    assert english.tolist() == [0.50, 0.54]
    assert others.tolist() == pytest.approx([0.03, 0.02])


def test_mean_and_spread_over_the_seeds():
    english, _ = report.accuracies(CURSED["small", "english"])
    assert report.shown(english) == "52.0% +- 2.8%"
    assert report.shown(english[:1]) == "50.0%"


def test_the_order_found_is_said_and_what_the_spread_does_not_tell_apart():
    assert report.order(CURSED, "small", report.FIGURE_1, 0) == \
        "worldwide, scaled ~ English only > worldwide, 1.0x"
    assert report.order(CURSED, "small", report.FIGURE_1, 1) == \
        "worldwide, scaled > worldwide, 1.0x > English only"
    assert report.order(CURSED, "small", report.TABLE_2, 0) == "worldwide, 1.0x ~ worldwide, 1.0x, one t"


def test_scores_are_read_by_size_data_and_seed(tmp_path):
    paths = []
    for (size, data), runs in CURSED.items():
        for seed, run in enumerate(runs):
            paths.append(tmp_path / size / data / f"{seed}.json")
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            paths[-1].write_bytes(orjson.dumps(run))
    assert report.read(list(map(str, paths))) == CURSED


def test_the_report_has_a_row_for_each_kind_of_data():
    text = "\n".join(report.report(CURSED))
    for name in report.DATA.values():
        assert f"\n{name}  " in text
    assert "English only" in text and "52.0% +- 2.8%" in text and "2.5% +- 0.7%" in text


def test_one_kind_alone_is_reported_too():
    text = "\n".join(report.report({("small", "english"): [scores(0.5, 0.1, 0.1)]}))
    assert "  small, in English: English only\n" in text and "Table 2 in small" not in text


def test_the_english_pairs_of_every_shard_are_kept(tmp_path):
    from mc2 import files
    lines = {"pool-0000": [b'{"text":"a","lang":"en"}', b'{"text":"\\"lang\\":\\"en\\"","lang":"fr"}'],
             "pool-0001": [b'{"text":"c","lang":"en"}']}
    for name, content in lines.items():
        files.write_bytes(tmp_path / f"in/{name}.jsonl.zst", b"".join(line + b"\n" for line in content))
    load("english").main(str(tmp_path / "in"), "-O", str(tmp_path / "out"))
    kept = {path.name: [line for _, line in files.read_lines(path)] for path in (tmp_path / "out").iterdir()}
    assert kept == {"pool-0000.jsonl.zst": ['{"text":"a","lang":"en"}'],
                    "pool-0001.jsonl.zst": ['{"text":"c","lang":"en"}']}


def test_growth_is_one_over_the_english_share():
    assert load("growth").growth({"en": 200, "fr": 500, "zh": 100}) == 4


def dry_run(tmp_path, *variables):
    shutil.copytree(CURSE, tmp_path / "curse", ignore=shutil.ignore_patterns("out"), dirs_exist_ok=True)
    for name in ("matched", "counts", "thresholds.json", "counts-after"):
        (tmp_path / "demo/out" / name).mkdir(parents=True, exist_ok=True)
    return make(tmp_path, "--dry-run", *variables)


def make(tmp_path, *arguments):
    """make, as if no other make had started the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=tmp_path / "curse", env=environment, capture_output=True, text=True)


def test_the_makefile_trains_every_size_on_all_data_with_every_seed(tmp_path):
    done = dry_run(tmp_path)
    assert done.returncode == 0, done.stderr
    runs = [line.split("<<< ")[1].split("'")[1] for line in done.stdout.splitlines() if "<<< " in line]
    assert sorted(runs) == sorted(f"{size}/{data}/{seed}" for size in ("small", "large")
                                  for data in ("english", "worldwide", "one-t", "scaled") for seed in range(3))
    assert done.stdout.count("mc2 train run.toml") == len(runs) == 24
    assert done.stdout.count("mc2 thresholds ../demo/out/counts --t-all 20") == 1


def test_seeds_sizes_and_pairs_can_be_fewer(tmp_path):
    done = dry_run(tmp_path, "SEEDS=7", "SIZES=small", "DATA=english one-t", "PAIRS=640")
    assert done.stdout.count("mc2 train run.toml") == 2 == done.stdout.count("schedule.train_num_samples=640")
    assert "small/one-t/7.json" in done.stdout.splitlines()[-1]


def test_without_the_demo_it_says_what_to_do(tmp_path):
    shutil.copytree(CURSE, tmp_path / "curse", ignore=shutil.ignore_patterns("out"))
    done = make(tmp_path)
    assert done.returncode == 2
    assert "Run 'make demo-curation' in the root of the checkout first." in done.stderr
