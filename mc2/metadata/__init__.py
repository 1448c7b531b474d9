"""Metadata: from wordnets, Wikipedia dumps and pageviews to entries per language.

    wordnet.py       wordnets                    -> {wiki}.wordnet.tsv
    points.py        vowel points, which its lemmas may have
    dumps.py         pages of a Wikipedia dump
    plaintext.py     lines of plain text
    streams.py       ranges of files, for processes to share
    wikitext.py      markup -> plain text
    words.py         text -> words, in languages written with spaces
    segmenters.py    in the others
    ngrams.py        words and pairs of words    -> {wiki}.unigram.tsv, {wiki}.bigram.tsv
    vocabulary.py    counts of words, for the association of pairs
    pageviews.py     lines of pageview files
    titles.py        pageviews                   -> {wiki}.title.tsv
    parts.py         long counts in parts, parallel and resumable
    spill.py         counting and sorting in bounded memory
    starter.py       lists of frequent words     -> {lang}.starter.list.tsv
    lists.py         lists of one's own          -> {lang}.list.tsv, {lang}.NAME.list.tsv
    sources.py       these files
    merge.py         sources                     -> a metadata release
    quality.py       what is odd about its entries
    release.py       reading a release
    packing.py       a release as one .tar.zst, and back
    languages.py     LID labels                  -> languages, and their Wikipedias
    spacing.py       entries and texts           -> the forms that are compared
    compiled.py      entries                     -> {lang}.matcher, for the native engine
    matching.py      texts                       -> the ids of their entries
    urls.py          URLs of dumps and pageviews
"""
