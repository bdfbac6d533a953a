"""Folders of one's own images: how they are laid out, and how they are split."""
