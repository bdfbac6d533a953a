"""What the builds of all stores share: images and their problems, manifests, reports, writing."""
