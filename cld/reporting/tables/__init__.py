"""Tables: what they ask for (spec), one number of them (cell), and how they are shown (render)."""
