"""A package, so that these are found and not the `tests` that a dependency (ciw) installs."""
