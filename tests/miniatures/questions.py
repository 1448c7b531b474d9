"""CVQA as its card describes it (https://huggingface.co/datasets/afaji/cvqa) and Meta CLIP's clipeval/cvqa reads it:
data/test-*.parquet with the columns image (a struct of bytes and path), ID, Subset, Question, Translated Question,
Options, Translated Options, Label, Category."""
from miniatures import images

ROWS = [("('Japanese', 'Japan')", "これは何", "What is this?", ["猫", "犬", "車", "海"],
         ["a cat", "a dog", "a car", "the sea"], 2),
        ("('Japanese', 'Japan')", "色は", "Which colour?", ["赤", "青", "白", "黒"], ["red", "blue", "white", "black"], 0),
        ("('Swahili', 'Kenya')", "Hii ni nini?", "What is this?", ["paka", "mbwa", "gari", "bahari"],
         ["a cat", "a dog", "a car", "the sea"], 3),
        ("('Swahili', 'Kenya')", "Wapi?", "Where?", ["nje", "nje", "nje", "nje"], ["out", "out", "out", "out"], 0),
        ("('Swahili', 'Kenya')", "Wapi?", "Where?", ["nje", "nje", "nje", "nje"], ["out", "out", "out", "out"], 1)]


def write(folder, rows=ROWS):
    """Two files, row groups of two rows. Returns the images as bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    (folder / "data").mkdir(parents=True, exist_ok=True)
    encoded = [images.encoded(4500 + number, "PNG" if number % 2 else "JPEG") for number in range(len(rows))]
    table = pa.table({
        "image": pa.array([{"bytes": data, "path": f"{number}.jpg"} for number, data in enumerate(encoded)],
                          pa.struct({"bytes": pa.binary(), "path": pa.string()})),
        "ID": [f"5919991144272485961_{number}" for number in range(len(rows))], "Subset": [row[0] for row in rows],
        "Question": [row[1] for row in rows], "Translated Question": [row[2] for row in rows],
        "Options": [row[3] for row in rows], "Translated Options": [row[4] for row in rows],
        "Label": pa.array([row[5] for row in rows], pa.int64()),
        "Category": ["Objects / materials / clothing"] * len(rows)})
    for part, (start, stop) in enumerate(((0, 3), (3, len(rows)))):
        name = f"data/test-{part:05d}-of-00002.parquet"
        pq.write_table(table.slice(start, stop - start), folder / name, row_group_size=2)
    return encoded
