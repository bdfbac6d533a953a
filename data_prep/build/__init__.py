"""Building a Kitchen-HC store: settings, crops, geometry, problems, manifest and report."""
