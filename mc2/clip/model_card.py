"""A model card, README.md of a folder for the Hub: what a model is, the data and recipe it was trained with, licences.

All of it is from the checkpoint and from the manifests of the data that the run names, as far as they are still there.
"""
import json
import os
import re
from typing import NamedTuple

from mc2 import __version__, manifests, tar_names
from mc2.clip import architecture
from mc2.errors import Mc2Error
from mc2.invisible import escaped

NAME = "README.md"
UNKNOWN = "unknown"             # the Hub's word for a licence that nobody has named
LANGUAGES_SHOWN = 30
CODE = re.compile("[a-z]{2,3}")
RECIPE = {"model": ("name", "tokenizer", "init_logit_scale"),
          "data": ("languages", "curation", "english_share", "aug_scale", "shuffle_texts"),
          "optimizer": None, "schedule": None, "compute": ("precision", "accum_freq"), "distill": None}
DATA = ("train_data", "pairs", "counts", "thresholds")


USE = """
## Use

```python
from PIL import Image
from transformers import AutoModel, AutoProcessor

model = AutoModel.from_pretrained("FOLDER")                  # MetaClip2Model; never CLIPModel
processor = AutoProcessor.from_pretrained("FOLDER")
inputs = processor(text=["a cat", "ein Hund"], images=Image.open("photo.jpg"), padding=True, truncation=True,
                   return_tensors="pt")
print(model(**inputs).logits_per_image.softmax(dim=-1))
```

transformers' CLIPModel would load these weights and give wrong features of texts: it may look for their end at another
place. Features equal those of mc2 to 1e-4 where images are resized with Pillow
(`AutoImageProcessor.from_pretrained("FOLDER", backend="pil")`, before transformers 5 `use_fast=False`); by default
transformers rounds pixels differently, by one level. Where the shorter side is resized and an odd number of pixels is
cut off, transformers may cut one pixel further to one side."""


class Card(NamedTuple):
    """What a card is about.

    name: of the model; content: of the checkpoint; held: its entry of the model; tokenizer: its name; transform: how
    images are prepared; licence: of the model, as the Hub calls it, or None; origins: as in a release's manifest.
    """

    name: str
    content: dict
    held: dict
    tokenizer: str
    transform: str
    licence: str | None
    origins: list


def origins_of(content):
    """[{name, url, licence, ...}]: where the metadata come from that a checkpoint's data were curated with; [] where
    that is not known here any more."""
    data = content["config"].get("data", {})
    for path in filter(None, (data.get("counts"), data.get("thresholds"), _first_pairs(data.get("pairs")))):
        metadata = ((manifests.read_if_whole(path) or {}).get("paths") or {}).get("metadata")
        if metadata and os.path.isdir(metadata):
            return (manifests.read_if_whole(metadata) or {}).get("origins", [])
    return []


def _first_pairs(patterns):
    try:
        return next(iter(tar_names.expand(patterns, tar_names.PAIRS)), None) if patterns else None
    except (Mc2Error, OSError):                 # they are elsewhere now
        return None


def text(card):
    """The text of the card, Markdown after a YAML header."""
    return "\n".join([*_header(card), *_model(card), *_use(), *_data(card), *_recipe(card), *_licences(card)]) + "\n"


def _header(card):
    languages = [lang for lang in card.content["tallies"].get("seen", {}) if CODE.fullmatch(lang)]
    yield from ("---", "library_name: transformers", "pipeline_tag: zero-shot-image-classification",
                f"license: {json.dumps(card.licence or UNKNOWN)}", "tags: [clip, metaclip-2, mc2]")
    if languages:                               # in quotes: `no` is false in YAML
        yield f"language: {json.dumps(sorted(languages))}"
    yield from ("---", "")


def _model(card):
    config, content = card.held["architecture"], card.content
    vision, text_cfg = config["vision_cfg"], config["text_cfg"]
    trained = (f"trained by mc2 {content['mc2']} with the recipe of Meta CLIP 2 (arXiv 2507.22062), at step "
               f"{content['step']:,}, after {content['seen_pairs']:,} seen pairs") if content["step"] \
        else "of imported weights"
    yield from (f"# {_plain(card.name)}", "", f"A CLIP model {trained}; exported by mc2 {__version__}.", "")
    yield from _table([
        ("parameters", f"{architecture.parameters(config)['total']:,}"),
        ("images", f"{vision['image_size']} pixels, patches of {vision['patch_size']}; {card.transform}"),
        ("texts", f"{text_cfg['context_length']} tokens of {text_cfg['vocab_size']:,}, tokenizer {card.tokenizer}"),
        ("features", str(config["embed_dim"])),
        ("activation", "QuickGELU" if config.get("quick_gelu") else "GELU")])


def _use():
    return USE.split("\n")


def _data(card):
    yield from ("", "## Training data", "")
    data, seen = card.content["config"].get("data", {}), card.content["tallies"].get("seen", {})
    named = [(key, _plain(data[key] if isinstance(data[key], str) else ", ".join(data[key])))
             for key in DATA if data.get(key)]
    if not named and not seen:
        yield "Nothing is recorded." if card.content["step"] else "Nothing is recorded here: the weights were imported."
    yield from _table(named)
    if seen:
        most = sorted(seen.items(), key=lambda row: (-row[1], row[0]))
        rest = sum(number for _, number in most[LANGUAGES_SHOWN:])
        yield from ("", "Pairs seen by language, as mc2 identified it:", "")
        yield from _table([(_plain(lang), f"{number:,}") for lang, number in most[:LANGUAGES_SHOWN]]
                          + [(f"{len(most) - LANGUAGES_SHOWN:,} more", f"{rest:,}")] * (len(most) > LANGUAGES_SHOWN))
    if images := card.content["tallies"].get("images"):
        yield from ("", "What happened to images and pairs:", "")
        yield from _table([(_plain(what), f"{number:,}") for what, number in sorted(images.items())])


def _recipe(card):
    values = card.content["config"]
    rows = [(f"{section}.{key}", _plain(json.dumps(values[section][key], ensure_ascii=False)))
            for section, keys in RECIPE.items() for key in (keys or values.get(section, {}))
            if values.get(section, {}).get(key) is not None]
    if rows:
        yield from ("", "## Recipe", "")
        yield from _table(rows)


def _licences(card):
    yield from ("", "## Licences", "")
    yield (f"The model: {_plain(card.licence)}." if card.licence else
           "The model: nobody has named its licence yet. Set `license` at the top of this file.")
    yield from ("", "The images and texts it was trained on have licences of their own, which are not recorded."
                if card.content["step"] else
                "The weights were imported: the licence of where they are from holds (of Meta CLIP's, CC-BY-NC 4.0).")
    if card.origins:
        yield from ("", "The metadata that the texts were matched with come from:", "")
        yield from _table([(_plain(origin["name"]), f"{_plain(origin['licence'])} ({_plain(origin['url'])})")
                           for origin in card.origins])


def _table(rows):
    """Lines of a table of Markdown with two columns."""
    rows = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    return [f"| {first} | {second} |" for first, second in [("", ""), ("---", "---"), *rows]] if rows else []


def _plain(text):
    """A name from anywhere in one line, without what HTML or Markdown would carry out."""
    return re.sub(r"[<>`\[\]*_]", lambda found: f"&#{ord(found[0])};", escaped(str(text)))
