"""The files of STL-10 as published: raw bytes, and lists as text."""
