"""Whether a page asks not to be used: for machine learning, or for its images.

`noai`, `noimageai`, `noimageindex` and `noml` in <meta name="robots"> and in the header X-Robots-Tag, also in those
that name one agent (`<meta name="ccbot">`, `X-Robots-Tag: gptbot: noai`); and `tdm-reservation: 1` in a header or a <meta>
(W3C TDM Reservation Protocol).
"""
import re

DIRECTIVES = ("noai", "noimageai", "noimageindex", "noml")
TDM = "tdm-reservation"
AGENTS = ("img2dataset", "google-extended", "anthropic-ai", "cohere-ai")        # that are not called ...bot
WORD = re.compile(r"[a-z-]+")


def is_for_robots(name):
    """Whether this name of a <meta> is that of directives for robots."""
    return name.endswith(("robots", "bot")) or name in AGENTS


def found_in(robots, tdm, directives=DIRECTIVES):
    """The directives that a page has, ascending: those of `directives`, and TDM. robots, tdm: lists of the values of
    the metas and headers"""
    found = {word for value in robots for word in WORD.findall(value.lower()) if word in directives}
    if any(value.strip() == "1" for value in tdm):
        found.add(TDM)
    return sorted(found)
