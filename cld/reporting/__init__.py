"""What becomes of scores: tables, figures, the index page; and what is planned and how far it is."""
