"""GMU Kitchens on disk: layout, reader and cameras."""
