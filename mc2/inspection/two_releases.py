"""How two metadata releases differ, for programs; comparison.py has the same for people."""


def facts(a, b):
    """How release A differs from release B, as a dict of JSON values. a, b: mc2.metadata.release.Release"""
    one, other = a.manifest["options"], b.manifest["options"]
    shared = [lang for lang in a.langs if lang in b.n_entries]
    return {"kind": "comparison", "a": {"path": a.path, "fingerprint": a.fingerprint},
            "b": {"path": b.path, "fingerprint": b.fingerprint}, "is_same": a.fingerprint == b.fingerprint,
            "options": {name: [one.get(name), other.get(name)] for name in {**one, **other}
                        if one.get(name) != other.get(name)},
            "languages_only_in_a": [lang for lang in a.langs if lang not in b.n_entries],
            "languages_only_in_b": [lang for lang in b.langs if lang not in a.n_entries],
            "languages": {lang: _language(a, b, lang) for lang in shared
                          if a.manifest["sha256"][f"{lang}.tsv"] != b.manifest["sha256"][f"{lang}.tsv"]}}


def _language(a, b, lang):
    """Of a language in both: the number of entries, and which are in one release only."""
    in_a, in_b = a.entries(lang), b.entries(lang)
    of_a, of_b = set(in_a), set(in_b)
    return {"in_a": len(in_a), "in_b": len(in_b), "only_a": [entry for entry in in_a if entry not in of_b],
            "only_b": [entry for entry in in_b if entry not in of_a]}
