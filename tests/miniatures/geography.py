"""Images by country: Dollar Street's country.id and region.id beside imageRelPath, GeoDE's ip_country and region beside
file_path, XM3600's image/locale beside image/key, as Meta CLIP's clipeval/few_shot_geo_localization reads them."""
import csv

from miniatures import images, models

COUNTRIES = ["ke", "jp", "br", "fr"]
REGIONS = {"ke": "af", "jp": "as", "br": "am", "fr": "eu"}


def write_geode(folder, number=40, rare=2):
    """`rare` images of another country among them. Returns (paths, countries)."""
    countries = [COUNTRIES[image % 4] for image in range(number)] + ["td"] * rare
    paths = [images.write(folder / f"images/{country}_{image}.jpg", 5000 + image)
             for image, country in enumerate(countries)]
    _csv(folder / "index.csv", [{"object": "bag", "region": REGIONS.get(country, "af"), "ip_country": country,
                                 "file_path": path.name} for path, country in zip(paths, countries)])
    return paths, countries


def write_dollar_street(folder):
    """Returns {split: (paths, countries)}."""
    found = {}
    for split, number in (("train", 16), ("test", 8)):
        names = [f"assets/{split}{image}/{image}.jpg" for image in range(number)]
        countries = [COUNTRIES[image % 4] for image in range(number)]
        paths = [images.write(folder / name, 5100 + len(found) * 50 + image) for image, name in enumerate(names)]
        _csv(folder / f"images_v2_imagenet_{split}.csv",
             [{"imageRelPath": name, "country.id": country, "region.id": REGIONS[country], "imagenet_sysnet_id": "[1]"}
              for name, country in zip(names, countries)])
        found[split] = paths, countries
    return found


def write_xm3600(folder, number=24):
    keys, locales = [f"{image:016x}" for image in range(number)], [COUNTRIES[image % 4] for image in range(number)]
    models.write_records(folder / "captions.jsonl", [{"image/key": key, "image/locale": locale}
                                                     for key, locale in zip(keys, locales)])
    return [images.write(folder / f"images/{key}.jpg", 5200 + image) for image, key in enumerate(keys)], locales


def _csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
