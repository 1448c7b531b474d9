"""Dollar Street, GeoDE, Google Landmarks v2 and Babel-ImageNet in the files that Meta CLIP's
clipeval/zero_shot_classification and gregor-ge/Babel-ImageNet read."""
import csv
import json

from miniatures import images


def write_dollar_street(folder):
    """dataset_dollarstreet of the Kaggle release: imageRelPath and imagenet_sysnet_id, a list of ImageNet's class
    numbers as text. Returns (paths, labels)."""
    paths, labels = [], []
    for split, rows in (("train", [[414], [671, 518]]), ("test", [[414, 5], [0], [999], [600, 601, 602]])):
        table = []
        for label in rows:
            name = f"assets/{len(paths):024x}/{len(paths)}.jpg"
            paths.append(images.write(folder / "dataset_dollarstreet" / name, 3000 + len(paths)))
            labels.append(label)
            table.append({"id": len(paths), "country.name": "Kenya", "imageRelPath": name, "topics": "['x']",
                          "imagenet_sysnet_id": str(label)})
        _csv(folder / f"dataset_dollarstreet/images_v2_imagenet_{split}.csv", table)
    return paths, labels


def write_geode(folder):
    """index.csv with object, region, country, file_path; images/. Returns (paths, names, labels)."""
    names, labels = ["hand soap", "dustbin", "toothbrush"], [0, 1, 0, 2, 2, 1, 2]
    paths = [images.write(folder / f"geode/images/Africa_{names[label].replace(' ', '_')}_{number}.jpg", 3100 + number)
             for number, label in enumerate(labels)]
    _csv(folder / "geode/index.csv", [{"object": names[label], "region": "Africa", "ip_country": "Nigeria",
                                       "file_path": path.name} for label, path in zip(labels, paths)])
    return paths, names, labels


def write_gldv2(folder):
    """The retrieval solution with its index, of https://github.com/cvdfoundation/google-landmark. Returns (paths,
    names, labels); the last row of the solution is `Ignored`."""
    names = ["Eiffel Tower", "Angkor Wat", "Machu Picchu"]
    votes = [["i0", "i3", "i1"], ["i1"], ["i2", "i1", "i2"], ["i4", "i2"]]      # i0 i3: 7, i1: 1003, i2 i4: 52
    landmark = {"i0": 7, "i1": 1003, "i2": 52, "i3": 7, "i4": 52, "i9": 8888}
    ids = [f"abc{number:013x}" for number in range(len(votes))]
    paths = [images.write(folder / (f"test/a/b/c/{name}.jpg" if number % 2 else f"test/{name}.jpg"), 3200 + number)
             for number, name in enumerate(ids)]
    _csv(folder / "retrieval_solution_v2.1.csv",
         [*({"id": name, "images": " ".join(found), "Usage": "Private" if number % 2 else "Public"}
            for number, (name, found) in enumerate(zip(ids, votes))),
          {"id": "f" * 16, "images": "None", "Usage": "Ignored"}])
    _csv(folder / "index_image_to_landmark.csv",
         [{"id": name, "landmark_id": number} for name, number in landmark.items()])
    _csv(folder / "index_label_to_category.csv",
         [{"landmark_id": number, "category": f"http://commons.wikimedia.org/wiki/Category:{name}"}
          for number, name in ((7, "Eiffel_Tower"), (8888, "Elsewhere"), (1003, "Angkor_Wat"), (52, "Machu_Picchu"))])
    return paths, names, [0, 1, 2, 2]


def write_babel(folder):
    """data/babel_imagenet-298.json: {LANG: [[class indices], [names]]}; prompts {LANG: [templates]}."""
    labels = {"DE": [[0, 25, 975], ["Schleie", "Feuersalamander", "Ufer"]], "SW": [[25, 0], ["salamanda", "samaki"]],
              "XX": [[50], ["seul"]]}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "babel_imagenet-298.json").write_text(json.dumps(labels), "utf-8")
    (folder / "nllb_dist13b_prompts.json").write_text(json.dumps({"DE": ["ein Foto von {}.", "{} im Bild"]}), "utf-8")
    return labels


def _csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
