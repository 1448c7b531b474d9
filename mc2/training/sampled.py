"""Refuse to sample twice: pairs that `mc2 sample` or `mc2 curate` drew, under online curation, which draws anew."""
from mc2 import files, manifests
from mc2.errors import BadData


def refuse(paths):
    """Raise BadData for the first of these files whose manifest says that its pairs were sampled, or is damaged.

    paths: files of pairs, or tars that hold them"""
    for path, how in zip(paths, files.map_paths(_how, paths)):
        if how is not None:
            found = [f"{name.replace('_', '-')} {how[name]}" for name in ("seed", "t_en", "t_all") if how.get(name)]
            options = f" ({', '.join(found)})" if found else ""
            raise BadData(
                f"{files.name_of(path)}: its pairs were sampled already{options}, and online curation would sample them "
                "a second time. Train on them as they are: --curation offline. Or give the pairs from before 'mc2 "
                "sample', with the images of all of them: mc2 join 'matched/*.jsonl.zst' --tars TARS -O pairs.")


def _how(path):
    manifests.read(path)                    # a damaged one must not pass for that of pairs that were not sampled
    return manifests.sampled([path])
