"""mc2 report: a data card of a curation, a release or a training run, as one page that needs no other file.

    curation.py     curated pairs -> the content of the page
    release.py      a metadata release -> the same
    training.py     the output of a training run -> the same
    content.py      what the page is made of: sections, columns, fields to be filled in
    page.py         the content -> HTML, with the style and the script in mc2/data/report

The content is plain JSON values. Nothing of it becomes part of the markup: the script of the page puts it in as text.
"""
