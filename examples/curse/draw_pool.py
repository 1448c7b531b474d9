"""Draw the pool of examples/curse: pictures of "worldwide shapes" whose texts are in one language each.

    python draw_pool.py -o out --pictures 4000 --overlap 0

    OUT/pool/pool-0000.jsonl.zst ...   the raw pool: id, url, text; the lines of one picture are adjacent
    OUT/images/pool-0000.tar ...       its pictures: {id}.png
    OUT/test/SHAPE-COLOUR/*.png        test pictures, the same number for every class
    OUT/names/LANG.txt                 the classes in every language, for `mc2 eval zeroshot --classes`: the folder of
                                       the class, its name, and captions that name shape and colour
    OUT/lists/LANG.txt                 metadata, for `mc2 build-metadata import`: shapes, colours and names of classes
    OUT/pages.jsonl                    what every page shows: lang, id, shape, colour

The pool is made of pages. A page is in one language, shows one picture, and has one caption of it. Languages have
sizes that follow Zipf's law, English is the largest. In each language the classes follow Zipf's law too, in an order of
its own: what is common in one language is rare in another. With overlap 0 every page has a picture of its own. A
greater overlap is the share of the pages in other languages that show the picture of an English page; with 1 the other
languages add texts, but no picture.
"""
import argparse
import os
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "demo"))
import draw                                                                         # noqa: E402
import words                                                                        # noqa: E402

LANGS = [lang for lang in words.LANGUAGES if lang != "chr"]         # those that the language model can tell apart
EXPONENT = 1.3              # of the sizes of the languages: 41 % of the pages are English, as 44 % of the paper's pairs
SHARDS = 8
PROMPT = dict(size="large", place="left", background="white")


# ---------------------------------------------------------------- what there is

def language_sizes(pictures, count, exponent=EXPONENT):
    """[pages] of each of so many languages, largest first: the k-th has `pictures` / k^exponent, at least 1."""
    return [max(1, round(pictures / rank ** exponent)) for rank in range(1, count + 1)]


def pages_of(pictures, overlap, random):
    """[(lang, picture)]: the pages of all languages, in the order of LANGS; a picture as in draw.py."""
    pages, english = [], []
    for lang, size in zip(LANGS, language_sizes(pictures, len(LANGS))):
        order = [draw.CLASSES[k] for k in random.permutation(len(draw.CLASSES))]
        own = [draw.picture_of(number, *its_class, f"pool/{lang}", False, random)
               for number, its_class in enumerate(draw.zipf_choices(order, size, random))]
        if lang == "en":
            english = own
        else:
            shared = random.permutation(size)[:round(overlap * size)]
            for number, which in zip(shared, random.permutation(len(english))):
                own[number] = english[which]
        pages += [(lang, picture) for picture in own]
    return pages


def by_picture(pages):
    """{id: (picture, [lang])}: the pages that show each picture."""
    found = {}
    for lang, picture in pages:
        found.setdefault(picture["id"], (picture, []))[1].append(lang)
    return found


def texts_of(picture, langs, random):
    """The texts of a picture: a caption in each of these languages, and on some pages one that says nothing."""
    texts = []
    for lang in langs:
        caption = draw.pick(random, words.LANGUAGES[lang].captions(picture))
        texts.append(draw.disturbed(caption, lang, picture, random))
        if random.random() < 0.3:
            texts.append(draw.unmatched_text(picture, random))
    return texts


def entries_of(lang):
    """[entry]: the metadata of a language. Names of classes are there as words and, as titles are, with a capital."""
    language = words.LANGUAGES[lang]
    names = [language.name(*each) for each in draw.CLASSES]
    found = [*map(language.noun, words.SHAPES), *(form for colour in words.COLOURS for form in language.forms(colour)),
             *names, *(name[0].upper() + name[1:] for name in names)]
    return list(dict.fromkeys(found))


def names_of(lang):
    """The lines of OUT/names/LANG.txt, for the classes that the language can name."""
    language = words.LANGUAGES[lang]
    for shape, colour in draw.CLASSES:
        if name := language.name(shape, colour):
            noun = language.noun(shape).lower()
            captions = [text for text in language.captions(dict(shape=shape, colour=colour, **PROMPT))
                        if noun in text.lower()]
            yield f"{shape}-{colour}\t{'|'.join([name, *captions])}\n"


# ---------------------------------------------------------------- files

def write(out, pictures, overlap, test_per_class, side, seed):
    """Write everything under `out`; returns the numbers of pages and pictures."""
    random = np.random.default_rng(seed)
    pages = pages_of(pictures, overlap, random)
    shown = list(by_picture(pages).values())
    shown = [shown[k] for k in random.permutation(len(shown))]
    for shard in range(SHARDS):
        part = shown[shard::SHARDS]
        lines = [{"id": picture["id"], "url": picture["url"], "text": text}
                 for picture, langs in part for text in texts_of(picture, langs, random)]
        members = [(f"{picture['id']}.png", draw.png(draw.paint(picture, random, side))) for picture, _ in part]
        draw.write_whole(f"{out}/pool/pool-{shard:04d}.jsonl.zst", draw.zst(draw.jsonl(lines)))
        draw.write_whole(f"{out}/images/pool-{shard:04d}.tar", draw.tar(members))
    for shape, colour in draw.CLASSES:
        for number in range(test_per_class):
            picture = draw.picture_of(number, shape, colour, f"test/{shape}-{colour}", False, random)
            image = draw.png(draw.paint(picture, random, side))
            draw.write_whole(f"{out}/test/{shape}-{colour}/{number:04d}.png", image)
    for lang in LANGS:
        draw.write_whole(f"{out}/lists/{lang}.txt", "".join(f"{entry}\n" for entry in entries_of(lang)).encode())
        draw.write_whole(f"{out}/names/{lang}.txt", "".join(names_of(lang)).encode())
    draw.write_whole(f"{out}/pages.jsonl", draw.jsonl(
        {"lang": lang, **{key: picture[key] for key in ("id", "shape", "colour")}} for lang, picture in pages))
    return len(pages), len(shown)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="directory to write to")
    parser.add_argument("--pictures", type=int, default=4000, metavar="N", help="English pages [%(default)s]")
    parser.add_argument("--overlap", type=float, default=0.0, metavar="SHARE",
                        help="share of the pages in other languages that show an English page's picture [%(default)s]")
    parser.add_argument("--test", type=int, default=64, metavar="N", help="test pictures of each class [%(default)s]")
    parser.add_argument("--side", type=int, default=24, metavar="N", help="width and height in pixels [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="[%(default)s]")
    options = parser.parse_args()
    if not 0 <= options.overlap <= 1:
        parser.error("--overlap is a share, from 0 to 1.")
    start = time.time()
    pages, pictures = write(options.output, options.pictures, options.overlap, options.test, options.side, options.seed)
    print(f"draw_pool: {pages:,} pages with {pictures:,} pictures -> {options.output} ({time.time() - start:.1f} s)")


if __name__ == "__main__":
    main()
