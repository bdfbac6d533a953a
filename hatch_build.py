"""Put ``config/`` into wheels, where commands outside of a checkout find it (``cld.config.find_config``)."""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConfigInWheel(BuildHookInterface):
    """Not into an editable installation: that has the checkout's own."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Called by hatchling before it builds a wheel."""
        if version == "standard":
            build_data["force_include"]["config"] = "cld/shipped_config"
