"""Stores: a prepared dataset in one HDF5 file.

Layout (format version 2), one group a split; images are arrays of one size, or JPEGs of any::

    /<split>/images   uint8  (N, H, W, 3)                      kind "arrays"
    /<split>/jpeg     uint8  (all images end to end)            kind "jpeg"
    /<split>/offsets  int64  (N + 1,), where each JPEG begins; /<split>/sha256 uint8 (N, 32), of each JPEG
    /<split>/labels   int64  (N,), -1 where an image has none
    /<split>/boxes    float32 (M, 4), where objects are annotated: left, top, right, bottom in pixels,
                      0-based, right and bottom exclusive; with box_labels int64 (M,), difficult and
                      truncated uint8 (M,), box_offsets int64 (N + 1,), where each image's begin
    attributes of the file: format, version, kind, dataset, preset, classes, mean, std, sources, config,
    checksum
    attribute of each other dataset: sha256 of its content

``mean`` and ``std`` are per RGB channel in [0, 1]; views are normalised with them. ``sources`` is JSON (what
the store was made from, with checksums), ``config`` is JSON (the settings that made it) and ``checksum`` is
the SHA-256 over the checksums of the datasets. Beside a store ``x.h5`` lies ``x.h5.sha256``, the checksum of
the whole file in the format of sha256sum. ``cld verify x.h5`` checks all of them.
"""

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
