"""Running `mc2 eval` within the process of a test, which saves the seconds that torch takes to start."""
import json

from mc2.cli import run


class Scores:
    """score(TASK, arguments...) -> {(task, lang, metric): record}; with status: what stderr said."""

    def __init__(self, model, capsys):
        self.model, self.capsys = model, capsys

    def __call__(self, *arguments, status=0):
        given = [*map(str, arguments), "--model", str(self.model), "--no-cache", "--workers", "0", "--json"]
        assert run(["eval", *given]) == status
        out, self.err = self.capsys.readouterr()
        if status:
            return self.err
        records = [json.loads(line) for line in out.splitlines()]
        found = {(record["task"], record["lang"], record["metric"]): record for record in records}
        assert len(found) == len(records), "two records of one score"
        return found


def values(records):
    return {key: record["value"] for key, record in records.items()}
