"""mc2 report: the content of a data card, and the page in a browser."""
import os
import re

import orjson
import pytest
from conftest import Shell, filled, pair

HOSTILE = ["</script><script>document.title='taken'</script>", "line\u2028break", "turned\u202egnp.exe",
           "<b>bold</b> & co", "می\u200cخواهم", "חתול"]
TEXTS = ["a red circle", "a red cat on a mat", "red circle", "a cat"]


@pytest.fixture(scope="module")
def template(toy_template, tmp_path_factory):
    sh = filled(Shell(tmp_path_factory.mktemp("report")), toy_template)
    sh.write("ar.json", orjson.dumps(HOSTILE).decode())
    sh.ok("mc2 build-metadata import ar.json --lang ar -o sources -q")
    sh.ok("mc2 build-metadata merge sources -o hostile --spacing wide -q")
    sh.write("pool.jsonl", *[pair(number, TEXTS[number % 4], lang="en") for number in range(40)],
             pair(40, "nothing", lang="en"), *[pair(50 + number, "un chat noir", lang="fr") for number in range(4)])
    sh.write("hostile.jsonl", *[pair(100 + number, f"{entry} {entry}", lang="ar")
                                for number, entry in enumerate(HOSTILE * 3)])
    for name, release in {"pool": "toy", "hostile": "hostile"}.items():
        sh.ok(f"mc2 match {name}.jsonl -m {release} -o {name}-matched.jsonl -q")
        sh.ok(f"mc2 count {name}-matched.jsonl -m {release} -o {name}-counts -q")
        sh.ok(f"mc2 thresholds {name}-counts --t-all 12 -o {name}.json -q")
        sh.ok(f"mc2 sample {name}-matched.jsonl -c {name}-counts -t {name}.json -o {name}-kept.jsonl -q")
    return sh.directory


@pytest.fixture
def made(sh, template):
    """A Shell with the pairs `pool-kept.jsonl`, drawn with t = 12, and `hostile-kept.jsonl` of hostile entries."""
    return filled(sh, template)


def content_of(page):
    """The content of a page."""
    return orjson.loads(re.search(r'<script id="content" type="application/json">(.*?)</script>', page, re.DOTALL)[1])


def reported(sh, command):
    return content_of(sh.ok(f"mc2 report {command} -q"))


def section(content, title):
    return next(section for section in content["sections"] if section["title"] == title)


# ---------------------------------------------------------------- content

def test_a_card_says_what_was_there_and_what_is_left(made, sh):
    content = reported(sh, "pool-kept.jsonl")
    kept = [its["lang"] for its in sh.read("pool-kept.jsonl")]
    assert content["title"] == "pool-kept.jsonl" and content["kind"] == "Data card of curated pairs"
    assert content["tiles"] == [[45, "pairs before"], [len(kept), "pairs kept"], [2, "languages"]]
    assert section(content, "What became of the pairs")["rows"] == [
        ["kept", len(kept), True], ["not drawn", 44 - len(kept)], ["without a match", 1]]
    english, french = section(content, "Languages, before and after")["rows"]
    assert english["name"] == ["English", "en"] and french["name"] == ["French", "fr"]
    assert [english[key] for key in ("pairs", "matched", "kept", "t", "entries")] == [41, 40, kept.count("en"), 12, 5]
    assert [french[key] for key in ("pairs", "matched", "kept", "share", "expected", "tail")] == [4, 4, 4, 1.0, 4, 1.0]


def test_a_card_shows_head_and_tail_of_each_language(made, sh):
    content = reported(sh, "pool-kept.jsonl")
    kept = [its["text"] for its in sh.read("pool-kept.jsonl") if its["lang"] == "en"]
    detail = section(content, "Languages, before and after")["details"]["en"]
    top, = detail["tables"]
    rows = {row["entry"][0]: row for row in top["rows"]}
    assert {entry: row["before"] for entry, row in rows.items()} == {
        "a": 30, "red": 30, "red circle": 20, "circle": 20, "cat": 20}
    assert rows["red circle"]["after"] == sum("red circle" in text for text in kept) < 20
    assert rows["red"]["prob"] == pytest.approx(12 / 30) and rows["a"]["entry"] == ["a", "en"]
    before, after = detail["plots"][0]["series"]
    assert before == {"name": "before", "points": [[1, 30], [2, 30], [3, 20], [4, 20], [5, 20]]}
    assert after["points"][0] == [1, max(row["after"] for row in rows.values())]
    assert detail["plots"][0]["rule"] == {"name": "t = 12", "at": 12}
    assert {text for text, _ in detail["examples"]} <= set(TEXTS) and len(detail["examples"]) == 5
    lost = max(row["before"] - row["after"] for row in rows.values())
    assert section(content, "Largest cuts")["rows"][0]["lost"] == lost


def test_no_texts_leaves_out_the_texts_and_says_so(made, sh):
    page = sh.ok("mc2 report pool-kept.jsonl --no-texts -q")
    content = content_of(page)
    details = section(content, "Languages, before and after")["details"]
    assert all(its["examples"] == [] for its in details.values()) and "a red cat on a mat" not in page
    assert "Example texts were left out of this page." in section(content, "What to know before using it")["items"]


def test_a_card_of_a_curation_names_its_pool_and_is_the_same_twice(made, sh):
    sh.ok("mc2 curate pool.jsonl -m toy --single en --t-all 12 -o out -q")
    assert sh.ok("mc2 report out -q") == sh.ok("mc2 report out -q")
    content = reported(sh, "out --title Shapes")
    facts = dict(section(content, "How it was made")["rows"])
    assert content["title"] == "Shapes" and content["tiles"][0] == [45, "pairs before"]
    assert facts["pool, 1 shards, {:,} bytes".format((sh / "pool.jsonl").stat().st_size)] == ["pool.jsonl"]
    assert "mc2 curate pool.jsonl" in facts["command"] and facts["seed"] == "0" and len(facts["metadata"]) == 64
    assert {"lid.single = en", "thresholds.t_all = 12", "one_per_image = false"} <= set(facts["options"])


def test_fields_are_filled_in_from_a_file(made, sh):
    sh.write("card.toml", 'licence = "CC-BY-4.0"\n')
    rows = section(reported(sh, "pool-kept.jsonl --fields card.toml"), "Licence, use and people")["rows"]
    assert rows[0][:2] == ["Licence", "CC-BY-4.0"] and [value for _, value, _ in rows[1:]] == [None] * 7


@pytest.mark.parametrize("line, message", [
    ('license = "x"', "there is no field license. Fields are licence, contact, "),
    ("licence = 4", 'licence is no text. Put it in quotes: licence = "..."'),
    ("licence = CC", "is no TOML (")])
def test_fields_that_are_wrong_are_refused(made, sh, line, message):
    sh.write("card.toml", line + "\n")
    found = sh("mc2 report pool-kept.jsonl --fields card.toml -o report.html -q")
    assert found.status == 3 and f"card.toml: {message}" in found.stderr and not (sh / "report.html").exists()


def test_without_its_counts_no_card_is_made(made, sh):
    sh.ok("rm -r pool-counts")
    found = sh("mc2 report pool-kept.jsonl -o report.html")
    assert found.status == 3 and "the counts and thresholds that it was made with are not where" in found.stderr


def test_a_card_replaces_another_card_and_nothing_else(made, sh):
    assert sh("mc2 report pool-kept.jsonl -o report.html").stderr.endswith("-> report.html\n")
    sh.ok("mc2 report toy -o report.html")
    before = (sh / "pool-kept.jsonl").read_bytes()
    found = sh("mc2 report pool-kept.jsonl -o pool-kept.jsonl")
    assert found.status == 2 and "there is a file of that name, which is no page" in found.stderr
    assert (sh / "pool-kept.jsonl").read_bytes() == before


@pytest.mark.parametrize("path, message", [
    ("pool-matched.jsonl", "no manifest says that these pairs were drawn, and with which counts"),
    ("sources", "sources: is neither a curation nor a directory of curated shards. Name the output of 'mc2 curate' or 'mc2 "
                "sample', or metadata, or the output of 'mc2 train'."),
    ("pool-counts", "is neither a curation nor a directory of curated shards")])
def test_what_has_no_card_is_refused(made, sh, path, message):
    found = sh(f"mc2 report {path} -o report.html")
    assert found.status == 2 and message in found.stderr


def test_a_card_of_no_pairs(toy, sh):
    sh.write("none.jsonl")
    sh.ok("mc2 curate none.jsonl -m toy --t-all 5 -o out -q")
    content = reported(sh, "out")
    assert content["tiles"] == [[0, "pairs before"], [0, "pairs kept"], [0, "languages"]]
    assert section(content, "Languages, before and after")["rows"] == []


def test_a_card_of_a_release(made, sh):
    content = reported(sh, "toy")
    assert content["kind"] == "Data card of metadata"
    rows = {row["name"][1]: row for row in section(content, "Languages")["rows"]}
    assert rows.keys() == {"en", "fr"} and rows["fr"]["name"] == ["French", "fr"]
    listed = section(content, "Languages")["details"]["fr"]["tables"][-1]["rows"]
    assert [row["entry"][0] for row in listed] == ["chat", "un", "chat noir"]


@pytest.fixture
def run(toy, sh):
    """A Shell with the directory `run`, as a training run leaves it after the third line of its log, and its scores."""
    from mc2 import documents, manifests
    from mc2.training import job, metrics
    (sh / "run").mkdir()
    manifests.write(sh / "run", manifests.describe_run(job.KIND, [], {"preset": "tiny"}))
    (sh / "run/config.json").write_bytes(documents.dumped({
        "mc2": "0.1.0", "kind": job.KIND, "name": "tiny", "architecture": {"embed_dim": 128}, "schedule": {"steps": 40},
        "values": {"model": {"name": "tiny"}, "optimizer": {"lr": 0.001, "teacher": None}}}))
    tallies = [None, None, {("seen", "en"): 3, ("drawn", "en"): 4, ("kept", "en"): 3, ("expected", "en"): 2,
                            "not drawn": 1}]
    lines = [metrics.line_of(
        10 * number, [{"samples": "ab", "ids": None, "waited": 0.0, "tally": tally}], global_batch=8, loss=loss,
        means={"contrastive": loss}, logit_scale=14.0, lr=1e-3, other_losses={}, steps=10, seconds=4.0,
        seconds_of_run=9.0, before={}) for number, (loss, tally) in enumerate(zip([3.5, 2.5, 1.5], tallies), 1)]
    (sh / "run/log.jsonl").write_bytes(b"".join(map(documents.dumped_line, lines)) + b'{"step":4')
    score = {"task": "retrieval", "lang": "en", "n": 512, "protocol": "", "model": "run", "mc2": "0.1.0"}
    sh.write("scores.jsonl", *[orjson.dumps({**score, "metric": metric, "value": value}).decode()
                               for metric, value in (("t2i_r1", 0.5), ("i2t_r1", 0.25))])
    return sh


def test_a_card_of_a_training_run(run, sh):
    content = reported(sh, "run --scores scores.jsonl")
    assert content["lead"] == "The model tiny after 30 of 40 steps, in which it saw 240 pairs of an image and a text."
    assert content["tiles"][2] == ["1.5000", "loss"]
    loss, *_ = section(content, "How it went")["plots"]
    assert loss["series"] == [{"name": "loss", "points": [[80, 3.5], [160, 2.5], [240, 1.5]]}]
    assert section(content, "Languages")["rows"] == [
        {"name": ["English", "en"], "seen": 3, "drawn": 4, "kept": 0.75, "expected": 0.5}]
    assert section(content, "Images")["rows"] == [["not drawn", 1]]
    assert section(content, "Scores: retrieval")["rows"] == [
        {"name": ["English", "en"], "t2i_r1": 0.5, "i2t_r1": 0.25, "n": 512}]


def test_scores_of_two_models_for_one_task_are_two_tables(run, sh):
    sh.ok("""sed 's/"model":"run"/"model":"other"/; s/0.5/0.75/' scores.jsonl > others.jsonl""")
    tables = [each for each in reported(sh, "run --scores scores.jsonl --scores others.jsonl")["sections"]
              if each["title"] == "Scores: retrieval"]
    assert [(each["note"], each["rows"][0]["t2i_r1"]) for each in tables] == [
        ("scores.jsonl: model run", 0.5), ("others.jsonl: model other", 0.75)]


def test_scores_of_two_evaluations_in_one_file_are_two_tables(run, sh):
    sh.ok("sed 's/0.5/0.75/' scores.jsonl > again.jsonl && cat scores.jsonl again.jsonl > both.jsonl")
    tables = [each for each in reported(sh, "run --scores both.jsonl")["sections"]
              if each["title"] == "Scores: retrieval"]
    assert [each["rows"][0]["t2i_r1"] for each in tables] == [0.5, 0.75]


@pytest.mark.parametrize("change, command, status, message", [
    ("rm run/log.jsonl", "run", 3, "log.jsonl: has no line yet"),
    ("sed -i 's/2.5/2.6/' run/log.jsonl", "run", 3, "log.jsonl:2: this line is damaged"),
    ("sed -i 's/metric/measure/' scores.jsonl", "run --scores scores.jsonl", 3, "scores.jsonl:1: is no score"),
    ("true", "run -m toy", 2, "-m spells out the entries of a curation, and run is none"),
    ("true", "scores.jsonl --scores scores.jsonl", 2, "--scores belong to a training run")])
def test_a_run_that_cannot_be_shown_is_refused(run, sh, change, command, status, message):
    sh.ok(change)
    found = sh(f"mc2 report {command} -o report.html -q")
    assert found.status == status and message in found.stderr and not (sh / "report.html").exists()


def test_all_wikipedias_have_a_name():
    from mc2.metadata.language_names import language_of, name_of
    from mc2.metadata.languages import SCHEMES
    from mc2.metadata.release import mapping_of
    for scheme in SCHEMES:
        for lang in mapping_of(None, scheme, None).langs:
            assert name_of(lang) != lang, lang
    assert language_of("zh_yue") == ("Cantonese", "yue") and name_of("qqq") == "qqq"


def test_what_hides_or_moves_characters_is_spelled_out(made, sh):
    page = sh.ok("mc2 report hostile-kept.jsonl -q")
    assert page.count("</script>") == 2 and "\u2028" not in page and "\u202e" not in page and "<b>bold" not in page
    table, *_ = section(content_of(page), "Languages, before and after")["details"]["ar"]["tables"]
    names = {row["entry"][0] for row in table["rows"]}
    assert {"turned\\u202egnp.exe", "line\\u2028break", "می\u200cخواهم"} <= names


# ---------------------------------------------------------------- in a browser

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="module")
def browser():
    if not os.environ.get("MC2_REQUIRE_BROWSER"):
        pytest.importorskip("playwright.sync_api", reason="without Playwright")
        if not os.path.exists(CHROMIUM):
            pytest.skip("without Chromium")
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page_files(template, tmp_path_factory):
    """{name: path} of the pages of pool-kept.jsonl and hostile-kept.jsonl"""
    sh = filled(Shell(tmp_path_factory.mktemp("pages")), template)
    for name in "pool", "hostile":
        sh.ok(f"mc2 report {name}-kept.jsonl -o {name}.html -q")
    return {name: sh / f"{name}.html" for name in ("pool", "hostile")}


@pytest.fixture
def opened(browser, page_files):
    """Function from the name of a page to it, opened; it may ask for no file but itself, and run without an error."""
    pages, requests, errors = [], [], []

    def open_page(name, width=1200, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
        pages.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(page_files[name].as_uri())
        page.wait_for_selector("svg path.line", state="attached")
        return page

    yield open_page
    assert len(requests) == len(pages) and errors == []
    for context in pages:
        context.close()


def languages_in(page):
    return page.locator("table.languages tbody td:first-child .code").all_inner_texts()


def test_a_click_on_a_heading_sorts(opened):
    page = opened("pool")
    assert languages_in(page) == ["en", "fr"]
    heading = page.locator("table.languages th", has_text="kept of matched")
    heading.locator("button").click()
    assert languages_in(page) == ["fr", "en"] and heading.get_attribute("aria-sort") == "descending"
    heading.locator("button").press("Enter")
    assert languages_in(page) == ["en", "fr"] and heading.get_attribute("aria-sort") == "ascending"


def test_languages_are_filtered_by_name_and_by_code(opened):
    page = opened("pool")
    for words, found in {"fren": ["fr"], "EN": ["en"], "fr, english": ["en", "fr"], "x": [], "": ["en", "fr"]}.items():
        page.fill("input[type=search]", words)
        assert languages_in(page) == found
        assert page.locator(".filter [role=status]").inner_text() == f"{len(found)} of 2"


def test_a_click_on_a_language_shows_its_head_and_tail(opened):
    page = opened("pool")
    page.click("table.languages button:has-text('French')")
    assert set(page.locator("#detail bdi").all_inner_texts()) == {"un", "chat", "chat noir"}
    assert page.locator("#detail select").input_value() == "fr"
    page.select_option("#detail select", "en")
    assert page.locator("#detail bdi").count() == 5


@pytest.mark.parametrize("scheme, dark", [("light", False), ("dark", True)])
def test_the_page_is_as_dark_as_the_system(opened, scheme, dark):
    page = opened("pool", color_scheme=scheme)
    colors = page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    paper, text = (sum(map(int, re.findall(r"\d+", color)[:3])) for color in colors)
    assert (paper < text) == dark


@pytest.mark.parametrize("name", ["pool", "hostile"])
def test_nothing_is_wider_than_a_telephone(opened, name):
    page = opened(name, 390)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_hostile_entries_are_shown_as_text(opened):
    page = opened("hostile")
    assert page.title() == "hostile-kept.jsonl"
    shown = page.locator("#detail bdi").all_inner_texts()
    assert "</script><script>document.title='taken'</script>" in shown and "<b>bold</b> & co" in shown
    assert page.locator("main script, main b").count() == 0
    hebrew = page.locator("#detail bdi", has_text="חתול").first
    assert hebrew.evaluate("element => [getComputedStyle(element).direction, element.lang]") == ["rtl", "ar"]
