"""Print the growth: by which factor the seen pairs of all languages must be more, so that as many of them are English as in a
run on English alone. It is one over the share of English among the pairs that balancing keeps.

    python growth.py ../demo/out/counts-after
"""
import sys

from mc2.balancing import counting


def growth(matched):
    """The growth, a float. matched: {lang: curated pairs}."""
    return sum(matched.values()) / matched["en"]


if __name__ == "__main__":
    print(f"{growth(counting.load(sys.argv[1], samples=False)[0].matched):.3f}")
