"""Upstream files to stores: one module per dataset family, and the demo's renderer."""
