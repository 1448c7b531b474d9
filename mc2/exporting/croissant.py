"""croissant.json: the files of a data set with their SHA-256, and what a record has (Croissant 1.0,
https://docs.mlcommons.org/croissant/docs/croissant-spec.html)."""
import os
import re

import orjson

from mc2.exporting import card
from mc2.exporting.columns import MEANING

FORMATS = {"parquet": "application/x-parquet", "webdataset": "application/x-tar",
           "hf": "application/vnd.apache.arrow.stream"}
# The context that every Croissant 1.0 has.
OF_CROISSANT = ("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet",
                "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet",
                "references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField",
                "transform")
CONTEXT = {"@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/",
           "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
           "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo",
           "data": {"@id": "cr:data", "@type": "@json"}, "examples": {"@id": "cr:examples", "@type": "@json"},
           "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, **{name: f"cr:{name}" for name in OF_CROISSANT}}


def made(facts):
    """croissant.json of a data set. bytes"""
    content = {
        "@context": CONTEXT, "@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": card.plain_name(facts["title"]), "description": card.summary(facts), "version": "1.0.0",
        **({"license": facts["licence"]} if facts["licence"] else {}),
        "distribution": [*map(_file_object, _named(facts)), *_sets(facts)], "recordSet": _record_sets(facts)}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _named(facts):
    return [{**each, "format": FORMATS[facts["format"]]} for each in facts["files"]]


def _file_object(file):
    return {"@type": "cr:FileObject", "@id": file["name"], "name": file["name"], "contentUrl": file["name"],
            "contentSize": f"{file['bytes']} B", "encodingFormat": file["format"], "sha256": file["sha256"],
            "description": f"{file['rows']:,} pairs"}


def _sets(facts):
    """The file sets that records are read from: the files, or members of the tars."""
    if facts["format"] != "webdataset":
        folder = os.path.dirname(facts["files"][0]["name"])
        suffix = os.path.splitext(facts["files"][0]["name"])[1]
        return [{"@type": "cr:FileSet", "@id": "files", "name": "files", "description": "all files of the data set",
                 "encodingFormat": FORMATS[facts["format"]], "includes": f"{folder}/*{suffix}"}]
    tars = [{"@id": each["name"]} for each in facts["files"]]
    return [{"@type": "cr:FileSet", "@id": f"{name}-members", "name": f"{name}-members", "containedIn": tars,
             "description": f"the members of the tars that hold {what}", "encodingFormat": encoding,
             "includes": [f"*.{extension}" for extension in extensions]}
            for name, what, encoding, extensions in _members(facts)]


def _members(facts):
    """(name, what they are, encoding, extensions) of the kinds of members of the tars."""
    return [("image", "the images", "image/*", facts["extensions"]), ("text", "the captions", "text/plain", ["txt"]),
            ("json", "the pairs as JSON", "application/json", ["json"])]


def _record_sets(facts):
    """The record sets. Those of tars have whole members: mlcroissant does not look into JSON within archives."""
    if facts["format"] == "webdataset":
        return [_members_as_records(facts, name, what) for name, what, _, _ in _members(facts)]
    fields = [_field(column, {"fileSet": {"@id": "files"}, **_of_column(column)})
              for column in facts["columns"] if column["croissant"] and column["name"]]
    others = [column["name"] or "(no name)" for column in facts["columns"]
              if not (column["croissant"] and column["name"])]
    left_out = f"; columns of objects and those without a name are not described here: {', '.join(others)}"
    return [_record_set("pairs", "a pair of an image and a caption" + left_out * bool(others), fields)]


def _members_as_records(facts, name, what):
    """The record set of one kind of members of tars: their key, and their content."""
    origin = {"fileSet": {"@id": f"{name}-members"}}
    keys = f". A pair has the keys {', '.join(column['name'] for column in facts['columns'])}" if name == "json" else ""
    key = _field({"name": "key", "croissant": "sc:Text"},
                 {**origin, "extract": {"fileProperty": "filename"}, "transform": {"regex": "([^.]*)[.].*"}})
    content = _field({"name": name, "croissant": "sc:ImageObject" if name == "image" else "sc:Text"},
                     {**origin, "extract": {"fileProperty": "content"}})
    return _record_set(name, f"{what}; members of one sample have one key{keys}", [key, content])


def _of_column(column):
    if column["croissant"] == "sc:ImageObject":
        return {"extract": {"column": column["name"]}, "transform": {"jsonPath": "bytes"}}
    return {"extract": {"column": column["name"]}}


def _record_set(name, description, fields):
    for number, field in enumerate(fields):             # an id has no spaces, and its field has it alone
        field["@id"] = f"{name}/{re.sub(r'[^-.A-Za-z0-9_]', '_', field['name'])}"
        if field["@id"] in [other["@id"] for other in fields[:number]]:
            field["@id"] += f"_{number}"
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": description, "field": fields}


def _field(column, origin):
    name = column["name"]
    return {"@type": "cr:Field", "@id": None, "name": name, "dataType": column["croissant"],
            "description": MEANING.get(name, f"the key {name} of the pair"),
            **({"repeated": True} if column.get("repeated") else {}), "source": origin}
