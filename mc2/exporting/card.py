"""README.md of a data set: front matter for the hub of Hugging Face and `datasets`, and what people must know."""
import json
import re

from mc2.exporting.columns import MEANING
from mc2.exporting.writing import MORE, USUAL
from mc2.tars import IMAGES

SIZES = [("n<1K", 10 ** 3), ("1K<n<10K", 10 ** 4), ("10K<n<100K", 10 ** 5), ("100K<n<1M", 10 ** 6), ("1M<n<10M", 10 ** 7),
         ("10M<n<100M", 10 ** 8), ("100M<n<1B", 10 ** 9), ("1B<n<10B", 10 ** 10), ("10B<n<100B", 10 ** 11),
         ("100B<n<1T", 10 ** 12)]
# Codes of Wikipedias that are not ISO 639's codes of their languages.
ISO = {"als": "gsw", "bat_smg": "sgs", "be_tarask": "be", "cbk_zam": "cbk", "eml": "egl", "fiu_vro": "vro", "map_bms": "jv",
       "nds_nl": "nds", "roa_rup": "rup", "roa_tara": "nap", "simple": "en", "zh_classical": "lzh", "zh_min_nan": "nan",
       "zh_yue": "yue", "bh": "bho", "sh": "hbs"}
FILL_IN = "TO FILL IN"
FEW = 25                            # languages in the table


def made(facts, provenance):
    """The text of README.md. facts, provenance: see mc2.exporting.job and source"""
    parts = [front_matter(facts), f"# {facts['title']}", summary(facts), _use(facts), _fields(facts), _languages(facts,
             provenance), _how(facts, provenance), _licence(facts, provenance), LIMITS]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


# ---------------------------------------------------------------- front matter

def front_matter(facts):
    """The YAML between two lines of `---`."""
    languages = codes(facts["languages"])
    lines = ["---", f"pretty_name: {_quoted(facts['title'])}"]
    lines += _licence_lines(facts["licence"])
    if languages:
        lines += ["language:", *(f"- {_quoted(code)}" for code in languages)]
        lines += ["multilinguality:", "- multilingual" if len(languages) > 1 else "- monolingual"]
    lines += ["size_categories:", f"- {size_category(facts['pairs'])}", "task_categories:", "- image-to-text",
              "- zero-shot-image-classification", "tags:", "- image-text-pairs", "- mc2", *TAGS[facts["format"]],
              "configs:", "- config_name: default", "  data_files:", f"  - split: {facts['split']}",
              f"    path: {_quoted(pattern(facts))}", *_features(facts), "---"]
    return "\n".join(lines)


TAGS = {"parquet": [], "webdataset": ["- webdataset"], "hf": []}


def _licence_lines(licence):
    if licence is None:
        return [f"license: unknown  # {FILL_IN}: an identifier, e.g. cc-by-4.0; or `other` with license_name and license_link",
                "# license_name:", "# license_link:"]
    return [f"license: {_quoted(licence)}"]


def pattern(facts):
    """What the files of the split are called, for all of them."""
    return re.sub(r"-\d+-of-\d+(\.\w+)$", r"-*\1", facts["files"][0]["name"])


def _features(facts):
    """The columns, where `datasets` would guess them by the first five samples: in tars."""
    if facts["format"] != "webdataset":
        return []
    inside = [{"name": column["name"], **column["feature"]} for column in facts["columns"]]
    if facts["pairs"] != facts["images"]:
        inside.append({"name": MORE, "list": inside.copy()})
    images = sorted({USUAL.get(extension, extension) for extension in IMAGES} & set(facts["extensions"]))
    features = [*({"name": extension, "dtype": "image"} for extension in images), {"name": "json", "struct": inside},
                *({"name": name, "dtype": "string"} for name in ("txt", "__key__", "__url__"))]
    return ["dataset_info:", "  features:", *_yaml(features, "  ")]


def _yaml(value, indent):
    """The lines of YAML of a list of dicts, as `datasets` writes features."""
    lines = []
    for item in value:
        mark = "- "
        for key, inner in item.items():
            is_flat = not isinstance(inner, (dict, list))
            lines.append(f"{indent}{mark}{key}:" + (f" {_quoted(inner)}" if is_flat else ""))
            mark = "  "
            if isinstance(inner, list):
                lines += _yaml(inner, indent + "  ")
            elif isinstance(inner, dict):
                lines += [f"{indent}    {line[2:]}" for line in _yaml([inner], "")]
    return lines


def _quoted(text):
    """A text as YAML takes it: a string of JSON, or itself where it is a plain word that YAML takes for nothing else."""
    text = str(text)
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", text) and text.lower() not in ("no", "yes", "on", "off", "true", "false",
                                                                                  "null", "y", "n")
    return text if plain else json.dumps(text, ensure_ascii=False)


def size_category(number):
    """The category of the hub for so many rows."""
    return next((name for name, limit in SIZES if number < limit), "n>1T")


def codes(languages):
    """The ISO 639 codes of these languages of mc2, the most frequent first; those that have none (`other`) are left out."""
    found = dict.fromkeys(ISO.get(lang, lang) for lang in languages)
    return [code for code in found if re.fullmatch(r"[a-z]{2,3}", code)]


def plain_name(title):
    """A name without characters that are not for names."""
    return re.sub(r"[^\w.-]+", "-", title).strip("-") or "data-set"


# ---------------------------------------------------------------- text

def summary(facts):
    """One or two sentences on what this is."""
    languages = len([lang for lang in facts["languages"] if lang])
    text = f"{facts['pairs']:,} pairs of images and captions"
    text += f" in {languages:,} language{'s' * (languages != 1)}" if languages else ""
    text += ", curated with mc2 after the recipe of Meta CLIP 2 (arXiv 2507.22062)."
    if facts["images"] is None:
        return text + " The images are not in it: `url`, where the pairs have it, says where they were."
    return text + f" It holds {facts['images']:,} images."


def _use(facts):
    how = ["## Use", "", "```python", "import datasets", "", f'pairs = datasets.load_dataset("PATH", split="{facts["split"]}")']
    if facts["format"] == "hf":
        how += ["# or, mapped into memory without a copy:", 'pairs = datasets.load_from_disk("PATH")["' + facts["split"] + '"]']
    if any(column["name"] == "lang" for column in facts["columns"]) and facts["format"] != "webdataset":
        how += ['french = pairs.filter(lambda lang: lang == "fr", input_columns="lang")']
    return "\n".join([*how, "```", "", "`croissant.json` has the SHA-256 of each file and describes the fields."])


def _fields(facts):
    rows = ["## Fields", ""]
    if facts["format"] == "webdataset":
        rows += ["A sample of a tar is an image with its caption as `txt`, and its pair as `json`, which has these keys"
                 + (f"; where an image has several captions, the other pairs are a list under `{MORE}`" if facts["pairs"]
                    != facts["images"] else "") + ".", ""]
    elif facts["images"] is not None:
        rows += ["A row is a pair. An image with several captions comes once for each of them.", ""]
    rows += ["| field | type | meaning |", "|---|---|---|"]
    return "\n".join([*rows, *(f"| `{_cell(column['name'])}` | {_cell(column['type'])} | "
                               f"{MEANING.get(column['name'], 'passed on from the source')} |" for column in facts["columns"])])


def _cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def _languages(facts, provenance):
    known, shown = provenance["languages"], list(facts["languages"].items())[:FEW]
    lines = ["## Languages", "", "| language | pairs |" + (" pairs of the pool | matched | t |" if known else ""),
             "|---|---|" + ("---|---|---|" if known else "")]
    for lang, number in shown:
        row = known.get(lang, {})
        more = "".join(f" {row[what]:,} |" if isinstance(row.get(what), (int, float)) else " |"
                       for what in ("pairs", "matched_pairs", "t")) if known else ""
        lines.append(f"| {_cell(lang) or '(none)'} | {number:,} |{more}")
    if rest := len(facts["languages"]) - len(shown):
        lines.append(f"\nand {rest:,} languages with fewer pairs.")
    return "\n".join([*lines, "", "Codes are those of Wikipedia; `other` stands for languages of which the identification has "
                      "no label with metadata of its own."])


def _how(facts, provenance):
    lines = ["## How it was made", ""]
    sampled, thresholds, lineage = provenance["sampled"] or {}, provenance["thresholds"], provenance["lineage"]
    found = {
        "version of mc2": ", ".join(provenance["mc2"]),
        "seed": sampled.get("seed"),
        "threshold of English (t_en)": _number(sampled.get("t_en", thresholds.get("t_en"))),
        "share of the tail (p)": sampled.get("p", thresholds.get("p")),
        "one threshold for all languages (t_all)": _number(sampled.get("t_all", thresholds.get("t_all"))),
        "least threshold (min_t)": _number(thresholds.get("min_t")),
        "one text per image": {True: "yes", False: "no"}.get(sampled.get("one_per_image")),
        "metadata release": lineage.get("metadata") and f"`{lineage['metadata']}`",
        "counts": sampled.get("counts", lineage.get("counts")) and f"`{sampled.get('counts', lineage.get('counts'))}`",
        "thresholds": sampled.get("thresholds", lineage.get("thresholds"))
        and f"`{sampled.get('thresholds', lineage.get('thresholds'))}`",
        "pairs of the pool": _number(provenance["counts"].get("in")),
        "matched pairs": _number(provenance["counts"].get("matched")),
        "pairs that were kept": _number(provenance["counts"].get("out")),
    }
    for name, its in provenance["options"].items():
        found[f"options of {name}"] = f"`{json.dumps(its, ensure_ascii=False, sort_keys=True)}`"
    lines += ["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in found.items() if value not in (None, ""))]
    left_out = {what.removeprefix("dropped: "): number for what, number in facts["counts"].items()
                if what not in ("in", "out") and number}
    if left_out:
        lines += ["", "Not in this set, of the curated pairs: " + ", ".join(f"{number:,} {what}" for what, number in
                                                                            left_out.items()) + "."]
    if not sampled:
        lines += ["", "The manifests of the pairs do not say that they were sampled: **it is not known whether this set is "
                  "balanced.**"]
    elif provenance["not_sampled"]:
        lines += ["", f"**{provenance['not_sampled']:,} of the files of pairs are not known to be sampled**, the others are."]
    if provenance["unknown"]:
        lines += ["", f"{provenance['unknown']:,} of the files of pairs have no manifest, so it is not known how they were "
                  "made."]
    return "\n".join(lines)


def _number(value):
    return f"{value:,}" if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _licence(facts, provenance):
    lines = ["## Licence", "", facts["licence"] and f"{facts['licence']}." or
             f"**{FILL_IN}.** Choose a licence for the selection, and name it here, as `license` at the top, and in "
             "`croissant.json`.", "", "Captions and images are those of the pages that they come from, with the rights of "
             "their owners."]
    for origin in provenance["origins"]:
        lines.append(f"- Entries of the metadata: {origin.get('name')}, {origin.get('licence')} ({origin.get('url')})")
    return "\n".join(lines)


LIMITS = f"""
## Personal information, biases, limits

**{FILL_IN}**: captions and images of the web show and name people. What was done about that, and how can somebody have a
pair removed? Balancing thins out frequent entries of the metadata; it does not check that a caption is true, or that an
image is harmless. Languages with small metadata keep nearly all of their pairs. Nothing here says that images were compared
with evaluation sets.
"""
