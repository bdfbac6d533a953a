"""The demo's kitchens: products, scenes, ray casting, shading, sensor and annotation."""
