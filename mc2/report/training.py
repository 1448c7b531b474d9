"""The data card of a training run: its loss, what it kept by language, and scores where there are any."""
import os
from collections import Counter

from mc2 import documents, files, parsing
from mc2.errors import BadData
from mc2.evaluation import results
from mc2.report.content import column, fields_section, language_cell, option, shown
from mc2.training import job

POINTS = 300                # of a line
OF_A_RUN = ("licence", "contact", "use", "biases", "citation")
NO_LOSSES = {"step", "logit_scale", "lr", "seen_pairs", "samples", "ids", "pairs_per_second", "data_wait", "seconds",
             "loss", "languages", "images", "accuracy"}


def content(run, title=None, fields=None, scores=()):
    """The content of the page (mc2.report.content). run: directory of a run. scores: files of `mc2 eval -o`."""
    config, lines = job.read(run), _lines(os.path.join(run, "log.jsonl"))
    last = lines[-1]
    told = next((line for line in reversed(lines) if "languages" in line), {"languages": {}, "images": {}})
    sections = [{"kind": "plots", "title": "How it went", "plots": _plots(lines)}]
    if told["languages"]:
        sections.append(_languages_section(told))
    if told["images"]:
        sections.append({"kind": "bars", "title": "Images", "total": None,
                         "note": "Those that came up, over all passes, and why some of them were not trained on.",
                         "rows": [[shown(what), number] for what, number in
                                  sorted(told["images"].items(), key=lambda row: -row[1])]})
    sections += _scores_sections(scores)
    sections += [{"kind": "facts", "title": "How it was made", "rows": _provenance(config)},
                 fields_section(fields, OF_A_RUN)]
    lead = (f"The model {shown(str(config['values']['model']['name']))} after {last['step']:,} of "
            f"{config['schedule']['steps']:,} steps, in which it saw {last['seen_pairs']:,} pairs of an image and a "
            f"text.")
    tiles = [[last["step"], "steps"], [last["seen_pairs"], "pairs seen"], [f"{_loss(last):.4f}", "loss"],
             [f"{last['logit_scale']:.2f}", "logit scale"]]
    if told["languages"]:
        tiles.append([len(told["languages"]), "languages"])
    return {"kind": "Card of a training run", "title": shown(title or files.printable(run)), "lead": lead,
            "tiles": tiles, "sections": sections}


def _lines(path):
    """The lines of a log; the last one may be cut off, where a run is at work or was killed. Raises BadData where there
    are none, or one is damaged."""
    found = []
    try:
        with open(path, "rb") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    parsed = documents.parsed_line(line)
                    if not all(isinstance(value, (int, float)) for value in (
                            parsed["step"], parsed["seen_pairs"], _loss(parsed), parsed["logit_scale"])):
                        raise ValueError
                except (ValueError, KeyError, TypeError, IndexError):
                    if line.endswith(b"\n"):
                        raise BadData(f"{path}:{number}: this line is damaged. Take it out.") from None
                else:
                    found.append(parsed)
    except FileNotFoundError:
        pass
    if not found:
        raise BadData(f"{path}: has no line yet. A report needs a run that has logged a step.")
    return found


def _loss(line):
    return line["loss"][0] if isinstance(line["loss"], list) else line["loss"]


def _plots(lines):
    kept = lines[::-(-len(lines) // POINTS)]
    if kept[-1] is not lines[-1]:
        kept.append(lines[-1])
    parts = [key for key in lines[-1] if key not in NO_LOSSES and isinstance(lines[-1][key], (int, float))
             and any(line.get(key) != _loss(line) for line in kept)]
    losses = [{"name": "loss", "points": [[line["seen_pairs"], _loss(line)] for line in kept]},
              *({"name": shown(key), "points": _points(kept, key)} for key in parts[:2])]
    wanted = [("Loss", losses), *((what, [{"name": name, "points": _points(kept, key)}]) for what, name, key in (
        ("Accuracy within a batch", "accuracy", "accuracy"), ("Logit scale", "logit scale", "logit_scale"),
        ("Learning rate", "learning rate", "lr"), ("Pairs per second", "pairs per second", "pairs_per_second")))]
    return [{"title": what, "x": "pairs seen", "y": None, "log": False, "rule": None, "series": series}
            for what, series in wanted if series[0]["points"]]


def _points(lines, key):
    return [[line["seen_pairs"], line[key]] for line in lines if isinstance(line.get(key), (int, float))]


def _languages_section(told):
    columns = [column("name", "language", "language"), column("seen", "seen"),
               column("drawn", "drawn for", wide=True, about="pairs that a draw decided on"),
               column("kept", "kept share", "share"),
               column("expected", "expected share", "percent", about="what Algorithm 1 says of the pairs drawn for")]
    rows = [{"name": language_cell(lang), "seen": row.get("seen"), "drawn": row.get("drawn"),
             "kept": row.get("kept_share"), "expected": row.get("expected_share")}
            for lang, row in told["languages"].items()]
    return {"kind": "languages", "title": "Languages", "note": "Pairs seen so far, over all passes.",
            "columns": columns, "rows": rows, "sort": "seen", "details": None}


def _scores_sections(paths):
    """A table for each task: languages as rows, metrics as columns. Of scores of other files, models or protocols for
    the same task there is a table each, whose note says which these are."""
    tables = {}
    for path, record in ((path, record) for path in paths for record in _records(path)):
        its = tables.setdefault((record["task"], path, record["model"]), [_Scores(path, record)])
        if record["metric"] in its[-1].rows.get(record["lang"], ()):            # of another evaluation
            its.append(_Scores(path, record))
        its[-1].add(record)
    found = [scores for its in tables.values() for scores in its]
    times = Counter(scores.task for scores in found)
    for scores in found:
        yield {"kind": "table", "title": f"Scores: {shown(scores.task)}", "rows": list(scores.rows.values()),
               "note": scores.note if times[scores.task] > 1 else None,
               "columns": [column("name", "language", "language"), *scores.metrics.values(),
                           column("n", "of", wide=True)]}


class _Scores:
    """The scores of one evaluation: metrics {name: column}, rows {language: row}, and what tells it from others."""

    def __init__(self, path, record):
        self.task, self.metrics, self.rows = record["task"], {}, {}
        follows = record["protocol"].get("follows") if isinstance(record["protocol"], dict) else None
        self.note = shown(f"{files.name_of(path)}: model {record['model']}"
                          + (f", protocol {follows}" if follows else ""))

    def add(self, record):
        self.metrics[record["metric"]] = column(record["metric"], shown(record["metric"]), "score")
        name = language_cell(record["lang"]) if record["lang"] else ["all", ""]
        row = self.rows.setdefault(record["lang"], {"name": name})
        row.update({record["metric"]: record["value"], "n": record["n"]})


def _records(path):
    for number, line in files.read_lines(path):
        try:
            record = parsing.plain_json(line)
            texts = record["task"], record["metric"], record["lang"] or ""
            if not all(isinstance(text, str) for text in texts) or not isinstance(record["value"], (int, float)):
                raise ValueError
            record = {key: record[key] for key in results.KEYS}
        except (ValueError, KeyError, TypeError):
            raise BadData(f"{files.name_of(path)}:{number}: is no score. Make scores with 'mc2 eval ... -o'.") from None
        yield record


def _provenance(config):
    rows = [["mc2", config["mc2"]], ["preset", shown(str(config["name"]))],
            ["architecture", [option(name, value) for name, value in config["architecture"].items()]]]
    for name, values in config["values"].items():
        rows.append([shown(name), [option(key, value) for key, value in values.items() if value is not None]])
    return [row for row in rows if row[1]]
