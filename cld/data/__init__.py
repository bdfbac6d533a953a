"""Stores: prepared datasets in HDF5 files (:mod:`cld.data.store_format`), and the images a network sees."""

from cld.data.arrays import Split, read_split, write_store
from cld.data.jpegs import EncodedImages, EncodedSplit, write_encoded_store
from cld.data.objects import Objects
from cld.data.store_format import Description, StoreInfo, read_info, read_labels
from cld.data.thumbnails import thumbnails
from cld.data.verification import verify

__all__ = [
    "Description",
    "EncodedImages",
    "EncodedSplit",
    "Objects",
    "Split",
    "StoreInfo",
    "read_info",
    "read_labels",
    "read_split",
    "thumbnails",
    "verify",
    "write_encoded_store",
    "write_store",
]
