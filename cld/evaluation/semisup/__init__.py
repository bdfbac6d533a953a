"""Semi-supervised classification: fine-tuning on few labels (supplement, section 2, item 5).

``cld semisup subset`` lists the images whose labels are used, ``trial`` fine-tunes a run
on them at one base rate and head multiplier, ``choose`` scores the trial that is best on held-out training
images on the test split. Every trial is a job of its own.
"""
