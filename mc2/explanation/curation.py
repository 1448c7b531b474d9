"""What `mc2 explain` needs of a finished curation: its stages with their options, and its pool."""
import os
from typing import NamedTuple

from mc2 import files, manifests
from mc2.balancing.sampling import Sampler
from mc2.curate import job
from mc2.curate.phases import Layout, names_in
from mc2.errors import BadData, BadUsage
from mc2.explanation.explainer import Explainer
from mc2.inspection.releases import named_release
from mc2.metadata.matching import Metadata
from mc2.pairs.columns import Reading
from mc2.stages import lid, lid_models
from mc2.stages.ids import IdList


class Opened(NamedTuple):
    """A curation that pairs are looked up in."""

    explainer: Explainer
    inputs: list                # the shards of the pool; where these are gone, matched/
    reading: Reading
    notes: list                 # sentences for people


def is_curation(path):
    """Whether a path is the output directory of `mc2 curate`, finished or not."""
    return path != "-" and not files.is_remote(path) and os.path.isdir(path) and (
        (manifests.read(path) or {}).get("kind") == job.KIND or os.path.exists(os.path.join(path, ".work", job.MARK)))


def opened(path, metadata=None, model=None, ids=None):
    """The curation in a directory, Opened. metadata, model, ids: where its release, the LID model and the list of ids
    are, if not where they were; they must be the same.

    Raises BadData where it is not finished or something is missing.
    """
    manifest = manifests.read(path)
    if not manifest:
        raise BadData(f"{path}: this curation is not finished. Run its 'mc2 curate' again, which goes on where it was.")
    try:
        options, lineage, inputs = manifest["options"], manifest["lineage"], manifest["inputs"]
        release = named_release(metadata, path, manifest, lineage["metadata"])
        if release is None:
            raise BadUsage(f"{path}: the metadata that it was made with are no longer at "
                           f"{manifest['paths'].get('metadata')}. Name them with -m.")
        names = [row["name"] for row in inputs]
        layout = Layout(path, names_in(path, names))
        sampler = Sampler(layout.counts, layout.thresholds, options["seed"], options["one_per_image"])
        if sampler.options["counts"] != lineage["counts"] or sampler.options["thresholds"] != lineage["thresholds"]:
            raise BadData(f"{path}: counts or thresholds.json were changed after the pairs were drawn. Run its "
                          f"'mc2 curate' again.")
        explainer = Explainer(_identifier(options["lid"], release, model), Metadata(release.path), sampler,
                              _ids(options.get("ids"), ids), anew=True)
        given = tuple((options.get("columns") or {}).items())
        reading = Reading(given, options.get("format"), layout.name.of_input)
        gone = [name for name, is_there in zip(names, files.map_paths(files.exists, names)) if not is_there]
        if gone:
            return Opened(explainer, _matched(layout, names, gone[0]), Reading(), [
                f"{gone[0]}: this shard of the pool is not there, so pairs are looked up in "
                f"{layout.matched.directory}, which lacks those that were dropped before they were matched"])
        notes = [f"{row['name']}: was changed, or copied, after it was curated; what is said may not be what was done"
                 for row in inputs if manifests.describe_file(row["name"]) != row]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadData(f"{path}/manifest.json: is incomplete ({type(error).__name__}: {error}). Run its 'mc2 curate' "
                      f"again.") from None
    return Opened(explainer, names, reading, notes[:1])


def _identifier(options, release, model):
    """The stage of identification with the options that the manifest has."""
    if "single" in options:
        return lid.Single(options["single"], release.languages)
    model = model or lid_models.default_model()
    name, size = options["model"]
    if os.path.getsize(model) != size:
        raise BadUsage(f"{model}: is not the model that this curation was made with, which is {name} of {size:,} "
                       f"bytes. Name that with --model.")
    return lid.Identifier(model, release.languages, options["clean"], options["min_prob"], options["no_evidence"],
                          by_script=options["by_script"])


def _ids(options, path):
    """The list of ids that the curation was restricted to, or None."""
    if options is None and path is not None:
        raise BadUsage("this curation was not restricted to a list of ids. Leave out --ids.")
    if options is None:
        return None
    if path is None:
        raise BadUsage(f"this curation was restricted to the ids of {options['name']}. Name that file with --ids.")
    if manifests.describe_file(path).get("bytes") != options.get("bytes"):
        raise BadUsage(f"{path}: is not the list of ids that this curation was restricted to, which was "
                       f"{options['name']} of {options.get('bytes'):,} bytes. Name that with --ids.")
    return IdList(path)


def _matched(layout, names, gone):
    """The shards in matched/, of a pool that is gone. gone: one of its shards that is not there"""
    matched = [path for path in map(layout.matched.output, names) if files.exists(path)]
    if len(matched) < len(names):
        raise BadUsage(f"{gone}: this shard of the pool is not there (shards are looked for as 'mc2 curate' named "
                       f"them). Run 'mc2 explain' in the directory in which it ran.")
    return matched
