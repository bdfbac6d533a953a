"""Kitchen-HC: the reader of GMU Kitchens (``gmu``), and the builders of the store from scenes or a folder."""
