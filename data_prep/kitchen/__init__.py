"""Kitchen-HC: what becomes an instance, its geometry, its manifest and its report."""
