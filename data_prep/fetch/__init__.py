"""Getting a source's upstream files: downloads that resume, checksums, unpacking, and the receipt."""
