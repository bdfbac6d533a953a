"""The demo's pictures: silhouettes, surfaces, scenes, and writers of the publishers' file layouts."""
