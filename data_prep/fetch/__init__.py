"""Getting a source's upstream files: downloads that resume, checksums, safe unpacking, and the receipt.

Two fetches of one source at once do no harm. A lock makes the second wait and then find everything there.
Where the file system has no locks, each step is safe by itself: both write the same bytes to the same places
of a ``.part`` file, a file gets its final name by one rename after its checksum or its archive has been
checked, and a download that was mixed up fails its checksum and starts over.
"""
