"""Captioned images, as they are published.

XM3600: captions.jsonl and images/KEY.jpg, as clip_benchmark's datasets/crossmodal3600.py and big_vision's
datasets/xm3600 read them: "image/key", "image/locale", and for each language "caption" and "caption/tokenized".
XTD: test_image_names.txt and test_1kcaptions_LANG.txt, as clip_benchmark's datasets/multilingual_mscoco.py reads
https://github.com/adobe-research/Cross-lingual-Test-Dataset-XTD10 (XTD10/, MIC/, STAIR/).
XTD-200 and Flickr30k-200: test_image_names.txt or filenames.txt, and LANG.txt by codes of Flores-200, as its
datasets/xtd200.py and datasets/flickr30k_200.py read https://github.com/visheratin/nllb-clip.
Flickr30k, COCO: dataset_flickr30k.json, dataset_coco.json of Karpathy's caption_datasets.zip. Flickr30k-CN:
flickr30k_cn_test.txt, lines `NAME.jpg,caption` below a head, as clip_benchmark's datasets/flickr.py reads it, or
`NAME#0<tab>caption`, as IDEA-CCNL/Fengshenbang-LM's flickr30k_CNA reads it.
"""
import json

from miniatures import images, models

XM3600 = {"en": [["a red car"], ["a cat", "cat on a mat"], ["a red car", "parking"]],
          "sw": [["gari jekundu", "gari"], ["paka"], ["maegesho", "gari la zamani"]]}


def write_xm3600(folder, captions=XM3600, locales=("th", "sw", "cusco")):
    """Returns the paths of the images."""
    number = len(next(iter(captions.values())))
    keys = [f"{number:016x}" for number in range(number)]
    models.write_records(folder / "captions.jsonl", [
        {"image/key": key, "image/locale": locales[image % len(locales)],
         **{lang: {"caption": its[image], "caption/tokenized": its[image], "caption/tokenized/lowercase": its[image]}
            for lang, its in captions.items()}} for image, key in enumerate(keys)])
    return [images.write(folder / f"images/{key}.jpg", 4000 + image) for image, key in enumerate(keys)]


def write_one_caption(folder, names_file, captions, folders=("images",)):
    """captions: {file: captions}, one for each image. Returns the paths of the images."""
    number = len(next(iter(captions.values())))
    names = [f"COCO_val2014_{image:012d}.jpg" for image in range(number)]
    for name, lines in {names_file: names, **captions}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    return [images.write(folder / folders[image % len(folders)] / name, 4100 + image)
            for image, name in enumerate(names)]


def write_karpathy(path, captions, filepath=None, folder="images"):
    """captions: a list for each image. An image of another split comes first. Returns the paths of the images."""
    entries = [{"filename": f"{4200 + image}.jpg", "split": "test" if image else "train", "imgid": image,
                **({"filepath": filepath} if filepath else {}),
                "sentences": [{"raw": text, "tokens": text.split(), "imgid": image} for text in its]}
               for image, its in enumerate([["not of the test"], *captions])]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"dataset": "miniature", "images": entries}, ensure_ascii=False), "utf-8")
    return [images.write(path.parent / folder / (filepath or "") / entry["filename"], 4200 + image)
            for image, entry in enumerate(entries)][1:]
