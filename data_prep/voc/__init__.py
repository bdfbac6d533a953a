"""Pascal VOC's devkit as it lies on disk: image sets, annotations, images."""
