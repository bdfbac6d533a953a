"""What an archive of results holds: a gzipped tar, the manifest first, names below ``results/<preset>``."""

import re

from cld.config import is_generated, load_dataset, load_source

#: Version of the layout. Another one is refused.
FORMAT = 1
#: The first member: ``format``, ``preset``, ``code``, ``date``, and ``files``, the SHA-256 of each by name.
MANIFEST = "manifest.json"
#: Bytes of an archive when it is unpacked, at most; one of the paper preset has some dozen MB.
LIMIT = 1 << 30
MANIFEST_LIMIT = 1 << 24
#: The figures that show images; the others are drawn from scores and cells.
IMAGES_OF = {"fig_a1": "kitchen_hc", "fig_a3": "imagenet100"}

_FILES = re.compile(
    r"scores/[^/]+/[^/]+\.json|cells/[^/]+/[^/]+/[^/]+\.json|runs/[^/]+/(config\.yaml|log\.csv)"
    r"|figures/\w+\.(png|pdf|csv)|config/([a-z]+/)?[\w-]+\.yaml"
)


def is_allowed(name: str) -> bool:
    """Whether an archive may hold a file of this name."""
    return bool(_FILES.fullmatch(name)) and not {".", ".."} & set(name.split("/"))


def is_restricted(preset: str, dataset: str) -> bool:
    """Whether a dataset's images must not be passed on: got by hand from their publisher, or one's own."""
    source = load_dataset(preset, dataset)["source"]
    return load_source(preset, source)["by_hand"] is not None and not is_generated(preset, dataset)
