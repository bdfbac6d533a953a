"""Synsets that the demo's ImageNet uses, by WordNet identifier."""

# fmt: off
LISTED = (
    "n02869837", "n01749939", "n02488291", "n02107142", "n13037406", "n02091831",
    "n04517823", "n04589890", "n03062245", "n01773797", "n01735189", "n07831146",
    "n07753275", "n03085013", "n04485082", "n02105505", "n01983481", "n02788148",
    "n03530642", "n04435653", "n02086910", "n02859443", "n13040303", "n03594734",
)
# fmt: on
"""The first of ImageNet-100's list."""
OTHERS = ("n01440764", "n01443537", "n01484850", "n02119789")
"""Synsets of ImageNet that are not in that list."""
