"""Explanations of pairs as lines of text for people."""
from mc2.explanation.positions import marked, rows_of_marks
from mc2.invisible import escaped
from mc2.tables import align

LONGEST_TEXT = 1000             # characters of a text that are shown
MOST_ROWS = 6                   # lines with marks
MOST_PLACES = 3                 # of an entry that are named
MOST_ENTRIES = 100
WIDTH = 10                      # of the first column


def describe(explanation):
    """Yield lines about one pair. explanation: of explainer.Explainer"""
    where = f"{explanation['source']}:{explanation['line']}" if explanation["source"] != "--text" else ""
    yield _line("pair", "  ".join(part for part in (explanation["id"], where) if part) or "(without an id)")
    yield _line("verdict", _verdict(explanation))
    yield from _text(explanation)
    if "language" in explanation:
        yield from _language(explanation["language"])
    if "entries" in explanation:
        yield from _entries(explanation["entries"])
    if explanation.get("entries") and "q" in explanation:
        yield from _probability(explanation)
    if "image" in explanation:
        yield from _image(explanation)


def _line(name, text):
    return f"{name:<{WIDTH}} {text}".rstrip()


# ---------------------------------------------------------------- verdict

def _verdict(explanation):
    verdict, q = explanation["verdict"], explanation.get("q")
    if verdict == "dropped" and explanation["stage"] != "sample":
        return f"DROPPED when {STAGES[explanation['stage']]}: {explanation['reason']}"
    if verdict == "dropped":
        return f"DROPPED: {explanation['reason']}" + _draw_against_q(explanation, "is not below")
    if verdict == "kept":
        return "KEPT" + (": an entry of probability 1 keeps it" if q == 1 else _draw_against_q(explanation, "is below"))
    if "entries" not in explanation:
        return "not known: name the metadata with -m, the counts with -c and the thresholds with -t"
    if not explanation["entries"]:
        return "never kept: no entry of its language is in the text"
    if q is None:
        return "not known: name the counts with -c and the thresholds with -t"
    return f"kept with probability {q:.4f}; the draw depends on the id, which --id names"


STAGES = {"read": "read", "ids": "looked for in the list of ids", "lid": "identified", "match": "matched",
          "sample": "drawn"}


def _draw_against_q(explanation, how):
    if not 0 < explanation["q"] < 1 or explanation.get("reason") == "not the chosen text of their image":
        return ""
    return f": the draw {explanation['draw']:.6f} {how} q = {explanation['q']:.6f}"


# ---------------------------------------------------------------- text and language

def _text(explanation):
    text = explanation["text"]
    if text is None:
        return
    shown, more = text[:LONGEST_TEXT], f" ... ({len(text):,} characters)" if len(text) > LONGEST_TEXT else ""
    spans = [tuple(span) for entry in explanation.get("entries", ()) for span in entry["at"] if span[1] <= LONGEST_TEXT]
    rows = rows_of_marks(spans) or [[]]
    for name, row in zip(["text", *[""] * (MOST_ROWS - 1)], rows):
        yield _line(name, escaped(marked(shown, row)) + more)
    if len(rows) > MOST_ROWS:
        yield _line("", f"({len(rows) - MOST_ROWS:,} more lines of marks, of entries that overlap)")


def _language(language):
    its = language["identified"]
    if its is None:
        yield _line("language", f"{language['lang']}, without identification"
                    if not language["given"] else f"{language['lang']}, as the pair came")
        return
    label = f"label {language['label'] or '(none)'}" + (f", probability {language['prob']:g}"
                                                        if language["prob"] is not None else "")
    yield _line("language", f"{language['lang']} ({label}{', as the pair came' if language['given'] else ''})")
    if language["given"] and (its["lang"], its["label"]) != (language["lang"], language["label"]):
        yield _line("", f"identified anew it is {its['lang']} (label {its['label']}, probability {its['prob']:g})")
    yield _line("", f"the model saw {its['seen']!r}" if its["seen"] else "the model saw nothing: cleaning left no text")
    model = f"{its['model_label'] or '(no label)'}, probability {its['model_prob']:.4f}"
    if its["known"]:
        yield _line("", f"its answer: {model}")
    else:
        yield _line("", f"it knows no n-gram of that; its constant answer: {model}")
    if its["by_script"] == "label":
        why = "" if not its["known"] else f", in which {its['model_label'] or 'its label'} is not written"
        yield _line("", f"the script decided ({' '.join(its['scripts'])}{why}): {its['label']} is the most probable of "
                        f"the languages written in it, with {its['prob']:g} of their probability")
    elif its["by_script"] == "other":
        yield _line("", f"the script decided ({' '.join(its['scripts'])}): no language of the model is written in it, "
                        f"so it goes to other")
    if its["below_min_prob"]:
        yield _line("", f"less probable than --min-prob {its['min_prob']:g}, so it goes to other")


# ---------------------------------------------------------------- entries, probability, image

def _entries(entries):
    if not entries:
        yield _line("entries", "none matched")
        return
    counted = "prob" in entries[0]
    rows = [["entry", "source", "id", *(["count", "t", "", "probability"] if counted else []), "at"]]
    for entry in entries[:MOST_ENTRIES]:
        numbers = [f"{entry['count']:,}", f"{entry['t']:,}", "tail" if entry["tail"] else "head",
                   f"{entry['prob']:.6g}"] if counted else []
        rows.append([entry["entry"] if entry["entry"] is not None else f"{entry['id']}?", entry["source"] or "?",
                     str(entry["id"]), *numbers, _places(entry["at"])])
    lines = align(rows, right=(2, 3, 4, 6) if counted else (2,))
    for name, line in zip(["entries", *[""] * len(lines)], lines):
        yield _line(name, line)
    if more := len(entries) - MOST_ENTRIES:
        if more > 0:
            yield _line("", f"and {more:,} more")


def _places(spans):
    places = [f"{start}-{stop}" for start, stop in spans[:MOST_PLACES]]
    return " ".join(places) + (f" and {len(spans) - MOST_PLACES:,} more" if len(spans) > MOST_PLACES else "") \
        or "not in the text under this release"


def _probability(explanation):
    entries, q = explanation["entries"], explanation["q"]
    product = " x ".join(f"(1 - {entry['prob']:.6g})" for entry in entries[:4]) + (" x ..." if len(entries) > 4 else "")
    yield _line("q", f"1 - {product} = {q:.6g}")
    if explanation["never_counted"]:
        yield _line("", "an entry was never counted: these are not the counts of this pool")
    if explanation["draw"] is not None:
        needed = "" if 0 < q < 1 else "; it decides nothing here"
        yield _line("draw", f"{explanation['draw']:.6f}, from seed {explanation['seed']}, the id and the text{needed}")


def _image(explanation):
    texts = explanation["image"]
    yield _line("image", f"one text is drawn for, of {len(texts):,} of this image: of those that matched, the one with "
                         f"the smallest hash")
    rows = [["line", "language", "entries", "hash", "q", "", "text"]]
    for its in texts:
        fate = "kept" if its["verdict"] == "kept" else its["reason"] or ""
        rows.append([f"{its['line']:,}", its["lang"], f"{its['matches']:,}", its["choice"], f"{its['q']:.4g}", fate,
                     ("> " if its["line"] == explanation["line"] else "  ") + its["text"][:60]])
    for line in align(rows, right=(0, 2, 4)):
        yield _line("", line)
