"""The templates that show text, and what they show; all others are removed.

A template is a page of its wiki, which a dump of the articles does not hold, and to evaluate all of them would be to
write MediaWiki again. But some are no more than a way to type a character, or to say something of a text that is
shown as it is (its language, its size, that no line breaks in it). Without their text, words are lost or run together:
`1914{{snd}}1918`, `the word {{lang|grc|ἀναρχία}} means`.

The table has those that are common in running text of large Wikipedias. What each shows, its page on its wiki says
(https://en.wikipedia.org/wiki/Template:Snd, https://fr.wikipedia.org/wiki/Modèle:Unité and so on), and for functions
https://www.mediawiki.org/wiki/Help:Magic_words. One table serves all wikis, so a name that means different things on
two of them (such as `s`, `e` or `nb`) is not in it.
"""
import re

from mc2.metadata.mediawiki import LANGUAGES, NUMBER_FUNCTIONS

# What is shown: the names of the templates, in lower case. `$1` is the first argument, `$text` the one of that name,
# and `$2/text` the first of these that is there. Characters that could be taken for markup are written as entities. A
# colon or an ellipsis at the beginning stands for the name of a language, which the page shows before the text.
TABLE = {
    # spaces and invisible characters
    " ": "nbsp | spaces | space | thinsp | thin space | hairsp | hair space | nnbsp | ensp | en space | emsp | "
         "em space | figure space | figsp | pad | gap | espace | espace insécable",
    "": "shy | wbr | word joiner | wj | lrm | rlm | nowrap begin | nowrap end | nobr begin | nobr end",
    "\u200b": "zwsp | zero width space",
    "\u200c": "zwnj",
    "\u200d": "zwj",
    # dashes and other punctuation
    "–": "ndash | endash | en dash | –",
    " – ": "snd | snds | spnd | spndash | sndash | sdash | spaced ndash | spaced en dash | spaced endash | "
           "spaced en dash space | dash",
    "—": "mdash | emdash | em dash | —",
    " — ": "smd | spaced mdash | spaced em dash | mdashb | --",
    "&#45;": "hyphen | shyp | nbhyph | nbhyphen | nb hyphen",
    "−": "minus",
    "·": "· | middot | dot",
    " • ": "• | bull | bullet",
    "/": "\\ | slash",
    "…": "... | ellipsis",
    "&#39;": "' | apostrophe | -' | '-",
    "&#39;s": "'s",
    "‘": "`",
    "&#39; &quot;": "' \"",
    "&#39;&quot;": "'\"",
    "&quot; &#39;": "\" '",
    "&quot;&#39;": "\"'",
    "&quot;": "-\" | \"-",
    "&#61;": "=",
    "&#124;": "pipe",
    "×": "times",
    # the marks of tables and braces
    "|": "!",
    "||": "!!",
    "|-": "!-",
    "{|": "(!",
    "|}": "!)",
    "\n|}\n": "end | s-end | end table | table end",
    "&#123;": "( | lbrace",
    "&#125;": ") | rbrace",
    "&#123;&#123;": "((",
    "&#125;&#125;": "))",
    "&#91;": "bracket left | lbrack",
    "&#93;": "bracket right | rbrack",
    # a text as it is
    "$1": "nowrap | nobr | nobreak | no break | nowr | nwr | нобр | esd | tutto attaccato | small | smaller | "
          "big | large | larger | midsize | petit | center | centre | italic | italics | em | strong | bold | "
          "underline | u | sup | sub | exp | ind | sc | smallcaps | small caps | smallcaps all | versalita | "
          "maiuscoletto | petites capitales | noitalic | no italic | noitalics | nobold | nbold | no bold | "
          "mvar | var | abbr | abréviation | comment | comm | подсказка | tooltip | mono | monospace | kbd | "
          "samp | unicode | polytonic | polytonisch | hebrew | nastaliq | nq | ipalink | ipa link | ruby | "
          "ruby-ja | nihongo2 | linktext | visible anchor | vanchor | not a typo | typo | as written | "
          "proper name | chem name | число | jis2004フォント | 補助漢字フォント | 僻字 | link-interwiki",
    "⟨$1⟩": "angbr | angle bracket",
    "&#91;$1&#93;": "bracket | api | ipablink",
    "/$1/": "ipaslink",
    "‘$1’": "gloss",
    "“$1”": "\"",
    "« $1 »": "guil | guillemets | citation",
    "« $2 »": "citation étrangère",
    "lit. ‘$1’": "lit | lit. | literal translation",
    "$2/text/texte": "lang | langue | langi | rtl-lang | wikt-lang | cizojazyčně | script | native name | "
                     "native phrase | font color | color | colour",
    "$2/1": "ipa | resize | не переведено | не переведено 2 | не переведено 3 | не переведено 4 | "
            "не переведено 5 | нп | нп2 | нп3 | нп4 | нп5 | iw",
    "$3/2": "transl | transliteration | translit",
    "$lt/1": "ill | interlanguage link | interlanguage link multi | illm",
    "$texte/fr/1/trad": "lien",
    "$label/1": "仮リンク",
    "$3/1": "le",
    "$4/3/2": "tsl | translink",
    # a text after the name of its language
    ": $1": "إنج | فرن | به انگلیسی",
    ": $2/text": "langx | llang",
    "… $1": "grec ancien | ens | frs | las | rus | els | ess | its | pls",
    "… $2": "vjazyce2",
    "$1 ($2, $3)": "nihongo | japonais",
    "$3 ($2, $1)": "nihongo3",
    "$1（$2）": "読み仮名",
    # numbers, units and dates
    "$1 $2": "unité | unidad | nombre | num | fmtn",
    "$1 $2 $3": "date | date-",
    "$1 h $2": "heure",
    "1er": "1er | ier",
    "1re": "1re | ire",
    "er": "er",
    "av. J.-C.": "av jc | av. j.-c. | avjc",
    "apr. J.-C.": "ap jc | apr. j.-c. | apjc",
    # quotations, a line of their own
    "\n$text/quote/texte/1\n": "quote | blockquote | quotation | cquote | centered quote | bquote | "
                               "citation bloc | zitat | cita | citazione | citação | citat | citát | cytat | "
                               "citaat | idézet | alıntı | цитата | اقتباس | 인용문",
}

# Families of templates
FAMILIES = [("lang-[a-z-]+", ": $1/text"), ("k-[a-z]{2,3}", ": $1"), ("ipa-[a-z-]+", ": &#91;$1&#93;"),
            ("script/.+", "$1"), ("link-[a-z-]+", "$1")]

_NUMBERS_AND_DATES = [*(name.replace("_", " ") for name in NUMBER_FUNCTIONS), "#formatdate", "#dateformat"]
FUNCTIONS = {**dict.fromkeys(_NUMBERS_AND_DATES, str.strip),        # as written, without the separators of the language
             "lc": str.lower, "lcfirst": lambda text: text[:1].lower() + text[1:],
             "uc": str.upper, "ucfirst": lambda text: text[:1].upper() + text[1:]}

_PATTERNS = {name: pattern for pattern, names in TABLE.items() for name in names.split(" | ")}
_FAMILIES = [(re.compile(names), pattern) for names, pattern in FAMILIES]
_PLACE = re.compile(r"\$(\w+(?:/\w+)*)")


def pattern_of(name):
    """What a template shows: a pattern as in TABLE, or the function that its first argument goes through; None where it
    is not known. name: what is between the braces and the first `|`."""
    name = name.replace("_", " ").strip().lower()
    if (pattern := _PATTERNS.get(name)) is not None:
        return pattern
    if ":" in name:
        prefix, _, rest = name.partition(":")
        return pattern_of(rest) if prefix == "template" else FUNCTIONS.get(prefix)
    if "-" in name or "/" in name:
        return next((pattern for names, pattern in _FAMILIES if names.fullmatch(name)), None)
    return None


def shown(pattern, arguments):
    """The text that a template shows; None where none of the arguments is there that it shows.

    pattern: of pattern_of; arguments: {"1": first one without a name, ..., name: argument}
    """
    if callable(pattern):
        return pattern(arguments.get("1", "")) or None
    if "$" not in pattern:
        return pattern
    if pattern == "$lt/1" and arguments.get("1") in LANGUAGES and "2" in arguments:
        pattern = "$3/2"                # {{ill|de|title there|text}}, as it was written before 2015
    values = []

    def value(place):
        values.append(next((arguments[name] for name in place[1].split("/") if arguments.get(name)), ""))
        return values[-1]

    text = _PLACE.sub(value, pattern)
    return text if any(values) else None
