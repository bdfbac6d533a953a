"""GMU Kitchens as it lies on disk: layout, reader, cameras, and the writer that the renderer uses."""
