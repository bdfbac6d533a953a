"""The index page: all tables, figures and datasets of a preset, and where each number comes from."""
