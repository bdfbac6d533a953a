"""The demo's upstream files: pictures and kitchens, generated in each publisher's format."""
