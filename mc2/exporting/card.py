"""README.md of a data set: front matter for the hub of Hugging Face and `datasets`, and what people must know."""
import json
import re

from mc2.exporting.columns import MEANING
from mc2.exporting.writing import MORE

SIZES = ["n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B", "10B<n<100B",
         "100B<n<1T", "n>1T"]                   # each ten times the one before, from 1,000 on
# Codes of Wikipedias that are not ISO 639's codes of their languages.
ISO = {"als": "gsw", "bat_smg": "sgs", "be_tarask": "be", "bh": "bho", "cbk_zam": "cbk", "eml": "egl", "fiu_vro": "vro",
       "map_bms": "jv", "nds_nl": "nds", "roa_rup": "rup", "roa_tara": "nap", "sh": "hbs", "simple": "en",
       "zh_classical": "lzh", "zh_min_nan": "nan", "zh_yue": "yue"}
NOT_TEXTS = {"no", "yes", "on", "off", "true", "false", "null", "y", "n"}       # plain words that YAML takes otherwise
FILL_IN = "TO FILL IN"
FEW = 25                                        # languages in the table


def made(facts, provenance):
    """The text of README.md. facts, provenance: see mc2.exporting.job and source"""
    parts = [front_matter(facts), f"# {facts['title']}", summary(facts), _use(facts), _fields(facts),
             _languages(facts, provenance), _how(facts, provenance), _licence(facts, provenance), LIMITS]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


# ---------------------------------------------------------------- front matter

def front_matter(facts):
    """The YAML between two lines of `---`."""
    languages = codes(facts["languages"])
    lines = ["---", f"pretty_name: {_quoted(facts['title'])}", *_licence_lines(facts["licence"])]
    if languages:
        lines += ["language:", *(f"- {_quoted(code)}" for code in languages)]
        lines += ["multilinguality:", "- multilingual" if len(languages) > 1 else "- monolingual"]
    lines += ["size_categories:", f"- {size_category(facts['pairs'])}"]
    lines += ["task_categories:", "- image-to-text", "- zero-shot-image-classification"]
    lines += ["tags:", "- image-text-pairs", "- mc2", *(["- webdataset"] if facts["format"] == "webdataset" else [])]
    lines += ["configs:", "- config_name: default", "  data_files:", f"  - split: {facts['split']}"]
    lines += [f"    path: {_quoted(pattern(facts))}", *_features(facts), "---"]
    return "\n".join(lines)


def _licence_lines(licence):
    if licence is not None:
        return [f"license: {_quoted(licence)}"]
    return [f"license: unknown  # {FILL_IN}: e.g. cc-by-4.0; or `other` with license_name and license_link",
            "# license_name:", "# license_link:"]


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
    features = [{"name": extension, "dtype": "image"} for extension in facts["extensions"]]
    features.append({"name": "json", "struct": inside})
    features += [{"name": name, "dtype": "string"} for name in ("txt", "__key__", "__url__")]
    return ["dataset_info:", "  features:", *_yaml(features, "  ")]


def _yaml(items, indent):
    """The lines of YAML of a list of dicts, as `datasets` writes features."""
    lines = []
    for item in items:
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
    """A text as YAML takes it: as it is where that is a plain word, else as a string of JSON."""
    is_plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", str(text)) and str(text).lower() not in NOT_TEXTS
    return str(text) if is_plain else json.dumps(str(text), ensure_ascii=False)


def size_category(number):
    """The category of the hub for so many rows."""
    return SIZES[min(max(len(str(number)) - 3, 0), len(SIZES) - 1)]


def codes(languages):
    """The ISO 639 codes of these languages of mc2, in their order; those without one (`other`) are left out."""
    found = dict.fromkeys(ISO.get(lang, lang) for lang in languages)
    return [code for code in found if re.fullmatch(r"[a-z]{2,3}", code)]


def plain_name(title):
    """A name without characters that are not for names."""
    return re.sub(r"[^\w.-]+", "-", title).strip("-") or "data-set"


# ---------------------------------------------------------------- text

def summary(facts):
    """Some sentences on what this is."""
    languages = len([lang for lang in facts["languages"] if lang])
    text = f"{facts['pairs']:,} pairs of images and captions"
    text += f" in {languages:,} language{'s' * (languages != 1)}" if languages else ""
    text += ", made with mc2 after the recipe of Meta CLIP 2 (arXiv 2507.22062)."
    if facts["images"] is None:
        return f"{text} The images are not in it: `url`, where the pairs have it, says where they were."
    return f"{text} It holds {facts['images']:,} images."


def _use(facts):
    split = facts["split"]
    lines = ["## Use", "", "```python", "import datasets", "",
             f'pairs = datasets.load_dataset("PATH", split="{split}")']
    if facts["format"] == "hf":
        lines.append(f'pairs = datasets.load_from_disk("PATH")["{split}"]    # the same, without a copy of the files')
    if facts["format"] != "webdataset" and any(column["name"] == "lang" for column in facts["columns"]):
        lines.append('french = pairs.filter(lambda lang: lang == "fr", input_columns="lang")')
    return "\n".join([*lines, "```", "", "`croissant.json` has the SHA-256 of each file and describes the fields."])


def _fields(facts):
    lines = ["## Fields", ""]
    has_several = facts["images"] is not None and facts["pairs"] != facts["images"]
    if facts["format"] == "webdataset":
        lines += ["A sample is an image, its caption as `txt`, and its pair as `json` with these keys."
                  + f" Further pairs of an image are a list under `{MORE}`." * has_several, ""]
    elif has_several:
        lines += ["A row is a pair. An image with several captions comes once for each of them.", ""]
    lines += ["| field | type | meaning |", "|---|---|---|"]
    for column in facts["columns"]:
        meaning = MEANING.get(column["name"], "passed on from the source")
        lines.append(f"| `{_cell(column['name'])}` | {_cell(column['type'])} | {meaning} |")
    return "\n".join(lines)


def _cell(text):
    return " ".join(str(text).replace("|", "\\|").split())


def _languages(facts, provenance):
    known = provenance["languages"]
    more = {"pairs": "pairs of the pool", "matched_pairs": "matched", "t": "t"} if known else {}
    heads = ["language", "pairs", *more.values()]
    lines = ["## Languages", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for lang, number in list(facts["languages"].items())[:FEW]:
        row = known.get(lang, {})
        cells = [_cell(lang) or "(none)", f"{number:,}", *(_number(row.get(what, "")) for what in more)]
        lines.append(f"| {' | '.join(cells)} |")
    if len(facts["languages"]) > FEW:
        lines += ["", f"and {len(facts['languages']) - FEW:,} languages with fewer pairs."]
    return "\n".join([*lines, "", ABOUT_CODES])


def _number(value):
    return f"{value:,}" if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _how(facts, provenance):
    lines = ["## How it was made", "", "| | |", "|---|---|"]
    for name, value in _made_by(provenance).items():
        if value not in (None, ""):
            lines.append(f"| {name} | {_cell(_number(value))} |")
    left_out = [f"{number:,} {what.removeprefix('dropped: ')}" for what, number in facts["counts"].items()
                if what.startswith("dropped: ") and number]
    if left_out:
        lines += ["", f"Not in this set, of the pairs that it was made from: {', '.join(left_out)}."]
    if not provenance["sampled"]:
        lines += ["", NOT_SAMPLED]
    elif provenance["not_sampled"]:
        lines += ["", f"**{provenance['not_sampled']:,} of the files of pairs are not known to be sampled**, the "
                  "others are."]
    if provenance["unknown"]:
        lines += ["", f"{provenance['unknown']:,} of the files of pairs have no manifest: it is not known how they "
                  "were made."]
    return "\n".join(lines)


def _made_by(provenance):
    """{what: value} of all that manifests say; None where they do not."""
    sampled, thresholds, lineage = provenance["sampled"] or {}, provenance["thresholds"], provenance["lineage"]
    counts = provenance["counts"]

    def fingerprint(what):
        found = sampled.get(what, lineage.get(what))
        return found and f"`{found}`"

    return {
        "version of mc2": ", ".join(provenance["mc2"]),
        "seed": sampled.get("seed"),
        "threshold of English (t_en)": sampled.get("t_en", thresholds.get("t_en")),
        "share of the tail (p)": sampled.get("p", thresholds.get("p")),
        "one threshold for all languages (t_all)": sampled.get("t_all", thresholds.get("t_all")),
        "least threshold (min_t)": thresholds.get("min_t"),
        "one text per image": {True: "yes", False: "no"}.get(sampled.get("one_per_image")),
        "metadata release": fingerprint("metadata"), "counts": fingerprint("counts"),
        "thresholds": fingerprint("thresholds"),
        "pairs of the pool": counts.get("in"), "matched pairs": counts.get("matched"),
        "pairs that were kept": counts.get("out"),
        **{f"options of {name}": f"`{json.dumps(its, ensure_ascii=False, sort_keys=True)}`"
           for name, its in provenance["options"].items()}}


def _licence(facts, provenance):
    lines = ["## Licence", "", f"{facts['licence']}." if facts["licence"] else TO_LICENSE, "", RIGHTS]
    for origin in provenance["origins"]:
        lines.append(f"- Entries of the metadata: {origin.get('name')}, {origin.get('licence')} ({origin.get('url')})")
    return "\n".join(lines)


ABOUT_CODES = """Codes are those of Wikipedia; `other` stands for languages of which the identification has no label
with metadata of its own."""
NOT_SAMPLED = """The manifests of the pairs do not say that they were sampled:
**it is not known whether this set is balanced.**"""
TO_LICENSE = f"""**{FILL_IN}.** Choose a licence for the selection, and name it here, as `license` at the top, and in
`croissant.json`."""
RIGHTS = "Captions and images are those of the pages that they come from, with the rights of their owners."
LIMITS = f"""
## Personal information, biases, limits

**{FILL_IN}**: captions and images of the web show and name people. What was done about that, and how can somebody have
a pair removed? Balancing thins out frequent entries of the metadata; it does not check that a caption is true, or that
an image is harmless. Languages with small metadata keep nearly all of their pairs. Nothing here says that images were
compared with evaluation sets.
"""
