"""What is to be made, what of it is there, and what the rest will cost, before anything is submitted."""
