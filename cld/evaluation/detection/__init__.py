"""Detection: Faster R-CNN on a run's ResNet, fine-tuned and scored on a store with annotated objects."""
