"""Print a mapping, for `mc2 build-metadata merge --languages`, in which every label stands for one language, en,
that is made from all Wikipedias.

    python one_set.py metadata/languages.csv > one-set.csv
"""
import sys

from mc2.metadata import languages


def main(path):
    mapping = languages.of_file(path)
    codes = sorted(mapping.wiki_codes, key=lambda code: (code != "en", code))       # the first names the language
    sys.stdout.buffer.write(languages.Languages([(label, codes) for label in mapping.lang_of]).to_csv())


if __name__ == "__main__":
    main(sys.argv[1])
