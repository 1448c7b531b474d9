"""Tables of Arrow with columns of any name as tables of pairs: columns are renamed, which costs nothing, and ids become
text or are made (see columns.py)."""
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mc2.pairs.columns import AUTO, EXACT


def kind_of(type):
    """The kind of a column: "string" for what serves as text, else the name of its type."""
    if pa.types.is_dictionary(type):
        return kind_of(type.value_type)
    return "string" if type in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary(),
                                getattr(pa, "string_view", pa.string)()) else str(type)


class RowsAsPairs:
    """Gives the tables of a file, one after another, the columns of pairs."""

    def __init__(self, columns):
        """columns: mc2.pairs.columns.Columns; None where the names are those of a pair"""
        self.columns, self.number = columns, 1

    def __call__(self, table, plain):
        """The table with mc2's names, and ids that are whole numbers as text. plain: function that gives columns their
        plain types"""
        first, self.number = self.number, self.number + len(table)
        if self.columns:
            table = plain(self._renamed(table, first))
        else:
            table = plain(table)
        return _with_text_ids(table)

    def _renamed(self, table, first):
        arrays, names = [], []
        for key, name in self.columns.layout(table.column_names):
            if key == "id" and name == AUTO:
                arrays.append(self._made_ids(table, first))
            elif name in table.column_names:
                arrays.append(table.column(name))
            else:
                continue
            names.append(key)
        return pa.table(arrays, names=names)

    def _made_ids(self, table, first):
        urls = table.column(self.columns.urls).cast(pa.large_string()).to_pylist() if self.columns.urls \
            else [None] * len(table)
        return pa.array([self.columns.made_id(number, url) for number, url in enumerate(urls, first)], pa.string())


def _with_text_ids(table):
    """The table with ids that are whole numbers as text; other ids that are no text stay."""
    if "id" not in table.column_names:
        return table
    place, ids = table.column_names.index("id"), table.column("id")
    if pa.types.is_integer(ids.type):
        return table.set_column(place, "id", ids.cast(pa.string()))
    if pa.types.is_decimal(ids.type) and ids.type.scale == 0:
        return table.set_column(place, "id", ids.cast(pa.string()))
    if pa.types.is_floating(ids.type):
        values = ids.cast(pa.float64())
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)       # Pandas' form of no value
        numbers = values.drop_null().to_numpy()
        if (np.abs(numbers) < EXACT).all() and (numbers == np.floor(numbers)).all():
            return table.set_column(place, "id", values.cast(pa.int64()).cast(pa.string()))
    return table
