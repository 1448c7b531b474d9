"""Write small sources of metadata in their real formats, from the words of the demo.

    python examples/demo/write_sources.py -o examples/demo/out/raw

Takes a second and writes 0.2 MB, the same bytes every time:

    OUT/wordnet/wn-data-fra.tab ...                     wordnets, as the Open Multilingual Wordnet has them
    OUT/dumps/frwiki-demo.xml.bz2 ...                   Wikipedia dumps; only languages with spaces between words
    OUT/pageviews/pageviews-20260101-000000.gz ...      two hours of pageviews, for all languages

Every name of a painter is made up of random syllables: they are the many rare words that every language has.
"""
import argparse
import bz2
import gzip
import os
import time
from urllib.parse import quote
from xml.sax.saxutils import escape

import numpy as np

import words
from draw import pick, write_whole

# ---------------------------------------------------------------- wordnets

WORDNETS = {"eng": "en", "fra": "fr", "spa": "es", "por": "pt", "arb": "ar", "cmn": "zh", "jpn": "ja", "tha": "th"}
BARE_LABEL = {"por"}        # some wordnets say `lemma` where most say `fra:lemma`
MORE_LEMMAS = {
    "cmn": ["红", "橙", "黄", "绿", "蓝", "紫", "黑", "红色+的", "圆", "星", "心", "月"],     # `+` joins parts of a word
    "jpn": ["赤", "橙色", "黄色", "緑", "青", "紫", "黒", "茶色", "白", "灰色", "背景", "画像", "絵"],
    "tha": ["แดง", "เหลือง", "เขียว", "ภาพ", "พื้นหลัง"],
    "eng": ["background", "picture", "drawing", "full_moon", "shooting_star"],      # `_` is a space
    "fra": ["image", "dessin", "fond", "pleine_lune", "étoile_filante"],
    "spa": ["imagen", "dibujo", "fondo", "luna_llena", "estrella_fugaz"],
    "por": ["imagem", "desenho", "fundo", "lua_cheia", "estrela_cadente"],
    "arb": ["صورة", "رسم", "خلفية", "بيت_كبير"],
}
OTHER_ROWS = {"arb": [("00001001-n", "arb:lemma:root", "دور"), ("00001001-n", "arb:lemma:brokenplural", "دوائر")]}


def wordnet(code):
    """The tab file of one wordnet: a header, then synset, label and lemma; definitions have a number first."""
    language = words.LANGUAGES[WORDNETS[code]]
    label = "lemma" if code in BARE_LABEL else f"{code}:lemma"
    rows = []
    for number, shape in enumerate(words.SHAPES, 1001):
        picture = dict(shape=shape, colour="red", size="small", place="left", background="white")
        rows.append((f"{number:08d}-n", label, language.noun(shape)))
        rows.append((f"{number:08d}-n", f"{code}:def", "0", language.captions(picture)[0]))
    for number, colour in enumerate(words.COLOURS, 2001):
        rows.append((f"{number:08d}-a", label, language.forms(colour)[0]))
    for number, word in enumerate([*language.sizes.values(), *language.backgrounds.values()], 3001):
        rows.append((f"{number:08d}-a", label, word.split("|")[0]))
    for number, lemma in enumerate(MORE_LEMMAS[code], 4001):
        rows.append((f"{number:08d}-n", label, lemma))
    rows += OTHER_ROWS.get(code, [])
    header = ("# Worldwide shapes Wordnet", code, "https://worldwide-shapes.example/wordnet", "CC0 1.0")
    return "".join("\t".join(row) + "\n" for row in [header, *rows]).encode()


# ---------------------------------------------------------------- Wikipedia dumps

TALK = {"en": "Talk", "fr": "Discussion", "es": "Discusión", "pt": "Discussão", "de": "Diskussion",
        "ru": "Обсуждение", "ar": "نقاش", "hi": "वार्ता", "ko": "토론", "tr": "Tartışma", "chr": "Talk"}
LATIN = "ba den fi gor hal ji kas lom mi nar os pel qui ran sel tu vik wen xa zor".split()
SYLLABLES = {
    "ru": "ба вен гор дил жа зум кас лом ми нар ос пел ран сел ту фик хан цо чер шу".split(),
    "ar": "با دن في كر هل جي كس لم مي نر سا بل قي رن صل تو وك من زا طر".split(),
    "hi": "बा देन फी गोर हल जी कस लोम मि नार सा पेल की रन सेल तू विक वन जा टोर".split(),
    "ko": "바 덴 피 고 할 지 카 롬 미 나 오 펠 퀴 란 셀 투 빅 웬 사 조".split(),
    "chr": "Ꭶ Ꭸ Ꮹ Ꮵ Ꮞ Ꮔ Ꮙ Ꮤ Ꮦ Ꮻ Ᏸ Ᏺ Ꮮ Ꮰ Ꮅ Ꮇ Ꮊ Ꮖ Ꮝ Ꮢ".split(),
}

DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="http://www.mediawiki.org/xml/export-0.10/ http://www.mediawiki.org/xml/export-0.10.xsd" \
version="0.10" xml:lang="{code}">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>{code}wiki</dbname>
    <base>https://{code}.wiki.example/wiki/</base>
    <generator>Worldwide shapes</generator>
    <case>first-letter</case>
    <namespaces>
      <namespace key="-1" case="first-letter">Special</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">{talk}</namespace>
      <namespace key="6" case="first-letter">File</namespace>
      <namespace key="14" case="first-letter">Category</namespace>
    </namespaces>
  </siteinfo>
{pages}</mediawiki>
"""

PAGE = """  <page>
    <title>{title}</title>
    <ns>{namespace}</ns>
    <id>{number}</id>
{redirect}    <revision>
      <id>{revision}</id>
      <timestamp>2026-01-01T00:00:00Z</timestamp>
      <contributor>
        <username>Demo</username>
        <id>1</id>
      </contributor>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text bytes="{size}" xml:space="preserve">{text}</text>
    </revision>
  </page>
"""

ARTICLE = """{{{{Infobox shape
| name    = {title}
| picture = {title}.png
| colours = {{{{plainlist|}}}}
}}}}
[[File:{title}.png|thumb|upright=1.2|{first}]]
'''{title}'''<ref name="demo">{{{{cite web |url=https://worldwide-shapes.example/ |title={title}}}}}</ref> &ndash; {first}
<!-- a comment that no reader sees -->

== {gallery} ==
{items}

{{| class="wikitable"
! № !! {title}
|-
| 1 || {first}
|}}

<references />
[[Category:{title}]]
"""


def title_of(name):
    return name[0].upper() + name[1:]


def painter(code, random):
    syllables = SYLLABLES.get(code, LATIN)
    return title_of("".join(pick(random, syllables) for _ in range(3)))


def article(code, title, classes, random):
    """An article about a shape or a colour: pictures of its classes, each with a painter and a year."""
    language = words.LANGUAGES[code]
    items = []
    for shape, colour in classes:
        picture = dict(shape=shape, colour=colour, size=pick(random, words.SIZES),
                       place=pick(random, words.PLACES), background=pick(random, words.BACKGROUNDS))
        for caption in language.captions(picture):
            by = f"''{painter(code, random)} {painter(code, random)}'', {random.integers(1700, 2000)}"
            items.append(f"{linked(caption, language.noun(shape))} ({by})")
    first = items[0].split(" (")[0]
    return ARTICLE.format(title=title, first=first, gallery=language.gallery, items="\n\n".join(items))


def linked(caption, noun):
    """`a red [[Circle|circle]] on ...`"""
    return caption.replace(noun, f"[[{title_of(noun)}|{noun}]]", 1) if noun else caption


def articles(code, random):
    """Yield (title, text) for every shape and every colour."""
    language = words.LANGUAGES[code]
    for shape in words.SHAPES:
        if noun := language.noun(shape):
            yield title_of(noun), article(code, title_of(noun), [(shape, c) for c in words.COLOURS], random)
    for colour in words.COLOURS:
        title = title_of(language.forms(colour)[0])
        yield title, article(code, title, [(s, colour) for s in words.SHAPES], random)


def dump(code, random):
    """A whole dump: articles, and after them a redirect and a talk page, which nobody should count."""
    pages = list(articles(code, random))
    target = pages[0][0]
    redirect = words.LANGUAGES[code].name("star", "red")
    pages.append((title_of(redirect), f"#REDIRECT [[{target}]]"))
    pages.append((f"{TALK[code]}:{target}", "== Talk ==\nTalkpageword: this page is only for talk. ~~~~"))
    xml = "".join(page(number, title, text) for number, (title, text) in enumerate(pages, 1))
    return bz2.compress(DUMP.format(code=code, talk=TALK[code], pages=xml).encode())


def page(number, title, text):
    target = text.removeprefix("#REDIRECT [[").removesuffix("]]") if text.startswith("#REDIRECT") else None
    return PAGE.format(title=escape(title), namespace=1 if ":" in title else 0, number=number,
                       revision=1000 + number, size=len(text.encode()), text=escape(text),
                       redirect=f'    <redirect title="{escape(target)}" />\n' if target else "")


# ---------------------------------------------------------------- pageviews

HOURS = ("pageviews-20260101-000000.gz", "pageviews-20260101-010000.gz")
RARE_TITLES = 40            # per language: titles that hardly anybody opens, for the 24 % that are cut off
ODD_LINES = [
    "commons.m File:Red_circle.png 7 0",        # not a Wikipedia
    "en.b Drawing_shapes 12 0",                 # Wikibooks
    "en.d circle 9 0",                          # Wiktionary
    "en Special:Search 310 0",
    "en.m Special:Search 150 0",
    "fr Spécial:Recherche 120 0",
    "en - 41 0",
    "en Red_circle",                            # malformed
    '"" Red_circle 1 0',
]


def titles(language):
    """The titles of one Wikipedia, roughly from the most to the least viewed."""
    yield from filter(None, map(language.noun, words.SHAPES))
    for colour in words.COLOURS:
        yield language.forms(colour)[0]
    for shape in words.SHAPES:
        for colour in words.COLOURS:
            if name := language.name(shape, colour):
                yield name


def pageviews(random):
    """One hour: `domain title views 0`, sorted; `en.m` counts the mobile site of `en`."""
    lines = list(ODD_LINES)
    for code, language in words.LANGUAGES.items():
        for rank, name in enumerate(dict.fromkeys(titles(language)), 1):
            title = title_of(name).replace(" ", "_")
            views = 3 + random.poisson(2000 / rank)
            lines.append(f"{code} {title} {views} 0")
            lines.append(f"{code}.m {title} {2 * views} 0")
            if rank % 4 == 0 and quote(title) != title:
                lines.append(f"{code} {quote(title)} 2 0")      # some browsers ask in percent-encoding
        for _ in range(RARE_TITLES):
            lines.append(f"{code} {painter(code, random)}_{painter(code, random)} 1 0")
    return gzip.compress("".join(line + "\n" for line in sorted(lines)).encode(), mtime=0)


def write_sources(out):
    """Write everything under `out`; returns the number of files."""
    random = np.random.default_rng(0)
    files = {f"wordnet/wn-data-{code}.tab": wordnet(code) for code in WORDNETS}
    files |= {f"dumps/{code}wiki-demo.xml.bz2": dump(code, random) for code in TALK}
    files |= {f"pageviews/{hour}": pageviews(random) for hour in HOURS}
    for name, data in files.items():
        write_whole(os.path.join(out, name), data)
    return len(files)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="directory to write to")
    options = parser.parse_args()
    start = time.time()
    count = write_sources(options.output)
    print(f"write_sources: {count} files -> {options.output} ({time.time() - start:.1f} s)")


if __name__ == "__main__":
    main()
