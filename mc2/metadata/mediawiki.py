"""Names that MediaWiki knows and a dump does not list: aliases of namespaces, magic words, prefixes of languages.

A dump's <siteinfo> gives one name per namespace. On the Chinese Wikipedia, for example, that is `Category`, but its
pages say `分類` and `分类` too. mc2/data/mediawiki.csv has one name per line:

    kind,name,wiki_codes
    category,分類,zh zh_classical ...       a name of a namespace on these Wikipedias; in lower case, as all names here
    file,imagem,pt ...                      (media files too)
    magic word,notoc,                       __NOTOC__, in all languages
    formatnum,форматировать_число,          {{formatnum:}}, in all languages

Sources: languages/messages/Messages*.php of MediaWiki 1.39 (names and aliases in the language of the wiki, in those
that it falls back on, and in its variants; $magicWords); wgNamespaceAliases in wmf-config/core-Namespaces.php of
Wikimedia's configuration (short ones such as `К`); and for magic words the pages of the extensions Disambiguator,
DiscussionTools, GlobalUserPage and WikibaseClient on mediawiki.org.
"""
import csv
import io
from collections import defaultdict

from mc2 import package_data
from mc2.metadata import languages, pageviews

FILE_NAMES = {"file", "image", "media"}             # valid on every wiki
CATEGORY_NAMES = {"category"}

# Prefixes of links to Wikipedias that were closed, and other names of those that are open
# (https://meta.wikimedia.org/wiki/Interwiki_map, and the list of Wikipedias beside it)
_MORE_LANGUAGES = ("aa ak be-x-old cho cmn cz dk epo ho hz ii jp kj kr lrc mh minnan mo mus na ng nb tokipona zh-cfr "
                   "zh-cn zh-tw").split()


def _read():
    """({kind: {name}}, {Wikipedia code: {names of its files and categories}})"""
    text = package_data.text("mediawiki.csv")
    names, names_of_wiki = defaultdict(set), defaultdict(set)
    for row in csv.DictReader(io.StringIO(text)):
        names[row["kind"]].add(row["name"])
        for code in row["wiki_codes"].split():
            names_of_wiki[code].add(row["name"])
    return names, names_of_wiki


_NAMES, _NAMES_OF_WIKI = _read()

FILE_NAMESPACES = frozenset(FILE_NAMES | _NAMES["file"])                    # of all wikis
MAGIC_WORDS = frozenset(_NAMES["magic word"])                               # without the underscores around them
NUMBER_FUNCTIONS = frozenset(_NAMES["formatnum"])
LANGUAGES = frozenset({name.replace("_", "-") for name in [*languages.wikipedias(), *pageviews.ALIASES]} |
                      set(_MORE_LANGUAGES))


def hidden_namespaces(code=None):
    """The names (frozenset) of the namespaces whose links are not shown, of a Wikipedia; without a code, of all."""
    if code is None:
        return FILE_NAMESPACES | CATEGORY_NAMES | _NAMES["category"]
    return frozenset(FILE_NAMES | CATEGORY_NAMES | _NAMES_OF_WIKI[code])
