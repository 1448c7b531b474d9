"""A stage of our own for `mc2 filter`: the pairs of one language, or of all others."""
from mc2.execution.stage import Stage


class Only(Stage):
    """Keep the pairs whose `lang` is this one; with others=true, all but these."""

    name = "filter"
    requires = ("lang",)

    def __init__(self, lang, others=False):
        self.lang, self.others = lang, others
        self.options = {"lang": lang, "others": others}

    def __call__(self, batch):
        batch.drop({index: "another language" for index, lang in enumerate(batch.column("lang"))
                    if (lang == self.lang) == self.others})
