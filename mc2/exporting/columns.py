"""One schema for all files of a data set, and what its types are called elsewhere."""
from collections import Counter

from mc2.errors import BadData
from mc2.exporting.parts import PRIVATE
from mc2.pairs import parquet                   # says how to install pyarrow, where it is not there
from mc2.pairs.arrow import is_string

import orjson
import pyarrow as pa
import pyarrow.compute as pc

IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])    # as `datasets` stores an image
MEANING = {
    "id": "id of the image", "text": "the caption", "lang": "language of the caption, as Wikipedia's code",
    "lid": "label of the language by the model that identified it", "lid_prob": "probability of that label",
    "url": "address of the image", "image": "the image", "source": "where on the page the text was",
    "matched_entry_ids": "line numbers, from 0, of the entries of the metadata that occur in the caption"}
CROISSANT = ((pa.types.is_boolean, "sc:Boolean"), (pa.types.is_integer, "sc:Integer"),
             (pa.types.is_floating, "sc:Float"), (pa.types.is_decimal, "sc:Float"),
             (pa.types.is_timestamp, "sc:DateTime"), (pa.types.is_date, "sc:Date"))
FEATURES = {b"huggingface": orjson.dumps({"info": {"features": {"image": {"_type": "Image"}}}})}


def unified(parts):
    """The pyarrow Schema of all columns of these Parquet files, without PRIVATE ones. BadData where a column has types
    in two of them that no one type holds."""
    fields, source = {}, {}
    for path in parts:
        with parquet.open_read(path) as file:
            for field in file.schema_arrow:
                if field.name in PRIVATE:
                    continue
                name, field = field.name, pa.field(field.name, without_maps(field.type))
                before = fields.setdefault(name, field)
                source.setdefault(name, path)
                if before.type != field.type:
                    fields[name] = _wider(before, field, source[name], path)
    return pa.schema(list(fields.values()))


def without_maps(type):
    """The type with lists of {"key", "value"} in place of maps, which `datasets` does not have."""
    if pa.types.is_map(type):
        return pa.list_(pa.struct([("key", without_maps(type.key_type)), ("value", without_maps(type.item_type))]))
    if is_list(type):
        return pa.list_(without_maps(type.value_type))
    if pa.types.is_struct(type):
        return pa.struct([pa.field(field.name, without_maps(field.type)) for field in type])
    return type


def _wider(before, field, its_source, source):
    try:
        return pa.unify_schemas([pa.schema([before]), pa.schema([field])], promote_options="permissive").field(0)
    except pa.ArrowException:
        raise BadData(f'the key "{field.name}" is {before.type} in {shard_of(its_source)}, but {field.type} in '
                      f"{shard_of(source)}. A data set has one type for each: make the key the same everywhere, or "
                      "leave it out.") from None


def shard_of(part):
    """What the shard of a part is called in messages."""
    return part.rpartition("/")[2].removesuffix(".parquet")


def with_image(schema):
    """The schema with a column of images first. BadData where there is a column of that name."""
    if "image" in schema.names:
        raise BadData('the pairs have a key "image" already, and images would go into a column of that name. Rename '
                      "the key.")
    return pa.schema([pa.field("image", IMAGE), *schema], metadata=FEATURES)


def languages(parts):
    """{language: number of pairs}, most frequent first; "" for pairs without `lang`."""
    found = Counter()
    for path in parts:
        with parquet.open_read(path) as file:
            if "lang" not in file.schema_arrow.names or not is_string(file.schema_arrow.field("lang").type):
                found[""] += file.metadata.num_rows
                continue
            for batch in file.iter_batches(columns=["lang"], use_threads=False):
                for each in pc.value_counts(batch.column(0)).to_pylist():
                    found[each["values"] or ""] += each["counts"]
    return {lang: found[lang] for lang in sorted(found, key=lambda lang: (-found[lang], lang)) if found[lang]}


# ---------------------------------------------------------------- names of types

def described(schema):
    """[{"name", "type", "croissant": its data type there, "repeated", "feature"}] of the columns: plain data. Objects
    and lists of lists have no data type in Croissant (None)."""
    found = []
    for field in schema:
        element = field.type.value_type if is_list(field.type) else field.type
        croissant = None if pa.types.is_nested(element) else next(
            (name for is_of, name in CROISSANT if is_of(element)), "sc:Text")
        found.append({"name": field.name, "type": "image" if field.type == IMAGE else str(field.type).replace(
            "element: ", "").replace("item: ", ""), "croissant": "sc:ImageObject" if field.type == IMAGE else croissant,
            "repeated": is_list(field.type), "feature": feature(in_json(field.type))})
    return found


def is_list(type):
    return pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type)


def in_json(type):
    """The type of the same values in JSON, where one is known: that of bytes, times and decimals is a string."""
    if pa.types.is_struct(type):
        return pa.struct([pa.field(field.name, in_json(field.type)) for field in type])
    if is_list(type):
        return pa.list_(in_json(type.value_type))
    if pa.types.is_boolean(type) or pa.types.is_integer(type) or pa.types.is_null(type):
        return type
    return pa.float64() if pa.types.is_floating(type) else pa.string()


def feature(type):
    """What the type is called in the `features` of a card of `datasets`: {"dtype": ...}, {"list": ...} or {"struct":
    [...]}."""
    if pa.types.is_struct(type):
        return {"struct": [{"name": field.name, **feature(field.type)} for field in type]}
    if is_list(type):
        inner = feature(type.value_type)
        return {"list": inner["dtype"] if "dtype" in inner else inner.get("struct", inner)}
    return {"dtype": {"double": "float64", "float": "float32"}.get(str(type), str(type))}
