"""Tables: what their files ask for (spec), their cells, claims about them, and how they are rendered."""
