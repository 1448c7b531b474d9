"""The words of cleaned articles are those of WikiExtractor, which thousands of corpora were made with.

It is run as a program, installed in an environment of its own under build/; nothing of it is imported.
"""
import bz2
import os
import subprocess
import sys
from collections import Counter, defaultdict

import orjson
import pytest

from conftest import DATA, ROOT
from mc2.metadata import dumps, wikitext
from mc2.metadata.words import END, Spaces

VERSION = "3.1.0"
ENVIRONMENT = ROOT / "build" / f"wikiextractor-{VERSION}"
SAMPLES = sorted((DATA / "wikipedia").glob("*.bz2"))
SITEINFO = b"""<siteinfo>
    <base>https://en.wikipedia.org/wiki/Main_Page</base>
    <namespaces>
      <namespace key="10" case="first-letter">Template</namespace>
    </namespaces>
  </siteinfo>
  """


@pytest.fixture(scope="module")
def wikiextractor():
    """The path of the program, installed once per checkout."""
    program = ENVIRONMENT / "bin" / "wikiextractor"
    if not program.exists():
        for command in ([sys.executable, "-m", "venv", ENVIRONMENT],
                        [ENVIRONMENT / "bin" / "pip", "install", "--quiet", f"wikiextractor=={VERSION}"]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"wikiextractor {VERSION} cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    return program


def words_of(text):
    return Counter(token for token in Spaces().tokens(text) if token != END)


def words_of_wikiextractor(program, xml):
    """{title: Counter of words}"""
    done = subprocess.run([program, "--json", "-o", "-", "--no-templates", "--processes", "1", xml], check=True,
                          capture_output=True, env={**os.environ, "PYTHONPATH": ""})
    words = defaultdict(Counter)
    for article in map(orjson.loads, done.stdout.splitlines()):
        words[article["title"]] += words_of(article["text"])
    return words


@pytest.mark.skipif(not SAMPLES, reason="the sample dumps are not here")
@pytest.mark.parametrize("sample", SAMPLES, ids=["bg", "en", "tables"][:len(SAMPLES)])
def test_words_are_those_of_wikiextractor(wikiextractor, sample, tmp_path):
    content = bz2.decompress(sample.read_bytes())
    if b"<siteinfo>" not in content:            # WikiExtractor finds no page in a dump without it
        content = content.replace(b"<page>", SITEINFO + b"<page>", 1)
    (tmp_path / "dump.xml").write_bytes(content)
    theirs = words_of_wikiextractor(wikiextractor, tmp_path / "dump.xml")
    ours = {page.title: words_of(wikitext.clean(page.text, page.hidden_namespaces))
            for page in dumps.read_pages(tmp_path / "dump.xml")}
    assert ours.keys() == theirs.keys()
    shared = sum((ours[title] & theirs[title]).total() for title in ours)
    larger = sum(max(ours[title].total(), theirs[title].total()) for title in ours)
    print(f"\n{sample.name}: {shared:,} of {larger:,} words are the same, {shared / larger:.2%}")
    assert shared / larger > 0.98
