"""Cross-Level Instance-Group Discrimination (CLD): methods, training, evaluation, tables, figures."""
