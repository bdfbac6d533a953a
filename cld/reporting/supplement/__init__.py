"""The supplement's tables and figures, with our numbers, as one PDF."""
