"""Metadata: from wordnets, Wikipedia dumps and pageviews to entries per language.

    wordnet.py    wordnets                    -> {wiki}.wordnet.tsv
    dumps.py      pages of a Wikipedia dump
    wikitext.py   their markup -> plain text
    words.py      text -> words
    ngrams.py     words and pairs of words    -> {wiki}.unigram.tsv, {wiki}.bigram.tsv
    titles.py     pageviews                   -> {wiki}.title.tsv
    sources.py    these files; finished lists -> {lang}.list.tsv
    merge.py      sources                     -> a metadata release
    release.py    reading a release
    urls.py       where dumps and pageviews are
"""
