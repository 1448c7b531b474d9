"""mc2 explain: why a pair was kept or dropped.

    lookup.py       the pairs that are asked for, by id, in files and in the pool of a curation
    curation.py     the stages and inputs of a finished curation, from its manifest
    explainer.py    pairs through the stages of lid, match and sample, and what these decided, as JSON values
    positions.py    where in a text the matched entries stand
    lines.py        the same as lines of text for people

Nothing is decided here: languages, matches, probabilities and draws come from the stages that the other commands run.
"""
