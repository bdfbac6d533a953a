"""Random views of whole batches, on the images' device."""
